package chaostest

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	leakEnv = "CHAOS_WORLD"
	// spareRoutines is by how many goroutines an agent may differ from one that
	// was just started: connections wait or do not.
	spareRoutines = 12
	// memoryLimit bounds the agent's resident memory, in bytes. The race
	// detector costs five to ten times as much as the program.
	memoryLimit = 200 << 20
	raceFactor  = 5
)

// leaks finds what is left of a world.
type leaks struct {
	w     *world
	token string
	peak  int64 // bytes of the largest agent so far
}

func newLeaks(w *world) leaks { return leaks{w: w, token: rand.Text()} }

// mark is the environment that everything of a world carries.
func (l *leaks) mark() string { return leakEnv + "=" + l.token }

// processes lists what carries the mark.
func (l *leaks) processes() []string {
	var left []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		env, _ := os.ReadFile(dir + "/environ")
		if bytes.Contains(env, []byte(l.mark())) {
			cmd, _ := os.ReadFile(dir + "/cmdline")
			left = append(left, filepath.Base(dir)+": "+string(bytes.ReplaceAll(cmd, []byte{0}, []byte{' '})))
		}
	}
	return left
}

// none fails unless every process of the world is gone.
func (l *leaks) none() {
	l.w.Helper()
	l.w.eventually(10*time.Second, func() error {
		if left := l.processes(); len(left) > 0 {
			return fmt.Errorf("processes are left:\n%s", strings.Join(left, "\n"))
		}
		return nil
	})
}

// weigh notes the most memory that the running agent has had.
func (l *leaks) weigh() {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.w.agent.pid))
	if err != nil {
		return
	}
	if m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(b); m != nil {
		kb, _ := strconv.ParseInt(string(m[1]), 10, 64)
		l.peak = max(l.peak, kb<<10)
	}
}

// routines ends the agent and returns how many goroutines it had, by the
// places that started them.
func (l *leaks) routines() map[string]int {
	l.w.Helper()
	l.weigh()
	from := size(l.w.log())
	l.w.agent.signal(syscall.SIGQUIT)
	if !l.w.agent.ended(stopTime) {
		l.w.agent.kill()
		l.w.Error("the agent does not end with its stacks")
	}
	b, err := os.ReadFile(l.w.log())
	l.w.must(err)
	all := map[string]int{}
	for _, stack := range bytes.Split(b[from:], []byte("\n\n")) {
		if !bytes.HasPrefix(stack, []byte("goroutine ")) {
			continue
		}
		origin := "main"
		if _, by, ok := bytes.Cut(stack, []byte("created by ")); ok {
			line, _, _ := bytes.Cut(by, []byte("\n"))
			line, _, _ = bytes.Cut(line, []byte(" in goroutine"))
			origin = string(line)
		}
		all[origin]++
	}
	return all
}

func size(name string) int64 {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return info.Size()
}

// grown names the origins of which there are more than in a new agent.
func grown(fresh, now map[string]int) (more []string) {
	for origin, n := range now {
		if extra := n - fresh[origin]; extra > spareRoutines {
			more = append(more, fmt.Sprintf("%s: %d, of a new agent %d", origin, n, fresh[origin]))
		}
	}
	return more
}

func total(m map[string]int) (n int) {
	for _, k := range m {
		n += k
	}
	return n
}
