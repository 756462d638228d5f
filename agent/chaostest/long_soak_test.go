package chaostest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// soakEnv is how long the long soak lasts, as in "2h".
const soakEnv = "CHAOS_SOAK"

const (
	// soakLooks is how often in all the agent is looked at.
	soakLooks = 10
	// soakMemory is by how much the agent's memory may have grown since the first
	// look, in bytes; soakFiles the same of descriptors. The race detector's own memory
	// grows with time, so the soak runs without it.
	soakMemory = 32 << 20
	soakFiles  = 24
)

// longSoak keeps one agent alive under everything that does not end it.
func longSoak() faultCase {
	return faultCase{
		name: "soak_long", slaves: 3,
		says:  "faults and edits at random for as long as " + soakEnv + " says; one agent all the time, whose memory, descriptors and threads do not grow",
		disks: []string{"", "", "size=256m,mode=0755"},
		lacks: func() string {
			if os.Getenv(soakEnv) == "" {
				return "make soak FOR=2h runs it"
			}
			return ""
		},
		fault: func(w *world) {
			length, err := time.ParseDuration(os.Getenv(soakEnv))
			w.must(err)
			var all []nemesis
			for _, n := range w.nemeses(w.slaves[1].newWire()) {
				if !strings.HasPrefix(n.name, "agent killed") && !strings.HasPrefix(n.name, "agent stopped") {
					all = append(all, n)
				}
			}
			var first usage
			for look := range soakLooks {
				w.suffer(all, time.Now().Add(length/soakLooks))
				now := w.usage()
				w.Logf("look %d of %d: %s", look+1, soakLooks, now)
				if look == 0 {
					first = now
				}
				if now.memory > first.memory+soakMemory || now.files > first.files+soakFiles || now.threads > first.threads+soakFiles {
					w.Errorf("the agent has grown from %s to %s", first, now)
				}
			}
		},
		bound: 5 * time.Minute,
	}
}

// suffer does bad things until some time.
func (w *world) suffer(all []nemesis, end time.Time) {
	w.Helper()
	for time.Now().Before(end) {
		f := all[w.rand.IntN(len(all))]
		w.note("fault: " + f.name)
		mend := f.do()
		w.letPass(5 * time.Second)
		mend()
		w.letPass(5 * time.Second)
	}
}

// usage is what the running agent holds.
type usage struct {
	memory         int64 // bytes, resident
	files, threads int
}

func (u usage) String() string {
	return fmt.Sprintf("%d MB, %d descriptors, %d threads", u.memory>>20, u.files, u.threads)
}

func (w *world) usage() usage {
	w.Helper()
	dir := fmt.Sprintf("/proc/%d", w.agent.pid)
	b, err := os.ReadFile(dir + "/status")
	w.must(err)
	read := func(key string) int64 {
		m := regexp.MustCompile(key + `:\s+(\d+)`).FindSubmatch(b)
		if m == nil {
			w.Fatalf("no %s in %s", key, b)
		}
		n, _ := strconv.ParseInt(string(m[1]), 10, 64)
		return n
	}
	fds, _ := filepath.Glob(dir + "/fd/*")
	return usage{memory: read("VmRSS") << 10, files: len(fds), threads: int(read("Threads"))}
}
