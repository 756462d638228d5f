package chaostest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func clockCases() []faultCase {
	return []faultCase{
		{
			name: "clock_set_back", slaves: 2, quiet: true,
			says: "the agent's clock is set back by an hour, one slave is cut off meanwhile, the agent is killed and started with times of an hour ahead in its journal; then the clock is right again",
			fault: func(w *world) {
				clock := w.ownClock()
				w.stopAgent()
				w.startAgent()
				w.converge(settleTime)
				clock.Store(-3600)
				w.arrives(time.Minute, 0)
				w.tellsTime(-time.Hour)
				w.slaves[0].cut()
				w.file("while-cut", 10)
				w.lacks("s1")
				w.arrives(time.Minute, 1)
				pause(10 * time.Second)
				w.has("s1")
				w.agent.kill()
				w.startAgent()
				w.arrives(time.Minute, 1)
				clock.Store(0)
				w.arrives(time.Minute, 1)
			},
			heal:  func(w *world) { w.slaves[0].mend() },
			bound: 2 * time.Minute,
		},
	}
}

// clockEnv tells a program built with ownClock which file holds the seconds by which its
// time of day is off.
const clockEnv = "CHAOS_CLOCK"

// ownClock has the agent run with a time of day of its own: built from a Go library
// whose time.Now adds what stands in a mapped file. The monotonic clock stays the
// kernel's, as with a clock that is set.
func (w *world) ownClock() *atomic.Int64 {
	w.Helper()
	file := filepath.Join(w.dir, "clock")
	w.must(os.WriteFile(file, make([]byte, 8), 0o644))
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	w.must(err)
	defer f.Close()
	page, err := unix.Mmap(int(f.Fd()), 0, 8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	w.must(err)
	w.Cleanup(func() { _ = unix.Munmap(page) })
	w.program = w.buildWithClock()
	w.master.env = append(w.master.env, clockEnv+"="+file)
	return (*atomic.Int64)(unsafe.Pointer(&page[0]))
}

// readClock is the file that is added to package time.
const readClock = `package time

import (
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

var (
	clockOnce sync.Once
	clockOff  *int64
)

func clockIsOff() int64 {
	clockOnce.Do(func() {
		name, ok := syscall.Getenv("` + clockEnv + `")
		if !ok {
			return
		}
		fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			panic("open clock: " + err.Error())
		}
		page, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
		if err != nil {
			panic("map clock: " + err.Error())
		}
		syscall.Close(fd)
		clockOff = (*int64)(unsafe.Pointer(&page[0]))
	})
	if clockOff == nil {
		return 0
	}
	return atomic.LoadInt64(clockOff)
}
`

func (w *world) buildWithClock() string {
	w.Helper()
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	w.must(err)
	lib := filepath.Join(strings.TrimSpace(string(goroot)), "src/time")
	now, err := os.ReadFile(filepath.Join(lib, "time.go"))
	w.must(err)
	const call = "sec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(now), call) == 0 {
		w.Fatalf("%s does not say %q: this Go tells the time in another way", lib, call)
	}
	text := strings.ReplaceAll(string(now), call, call+"\tsec += clockIsOff()\n")
	mine := func(name string) string { return filepath.Join(w.dir, name) }
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(lib, "time.go"): mine("time.go.txt"), filepath.Join(lib, "clock_is_off.go"): mine("clock.go.txt"),
	}})
	w.must(err)
	w.write(mine("time.go.txt"), text)
	w.write(mine("clock.go.txt"), readClock)
	w.write(mine("overlay.json"), string(overlay))
	program := mine("agent-with-clock")
	args := []string{"build", "-overlay", mine("overlay.json"), "-o", program}
	if raceDetector {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "syncagent/cmd/agent")...).CombinedOutput()
	if err != nil {
		w.Fatalf("build agent with a clock: %v: %s", err, out)
	}
	return program
}

// tellsTime makes sure that the agent's clock is off by so much: it writes the time of
// day into its log.
func (w *world) tellsTime(off time.Duration) {
	w.Helper()
	w.eventually(time.Minute, func() error {
		lines := strings.Split(tail(w.log()), "\n")
		var last string
		if _, err := fmt.Sscanf(lines[len(lines)-1], "time=%s", &last); err != nil {
			return fmt.Errorf("the agent's log ends in %q", lines[len(lines)-1])
		}
		at, err := time.Parse(time.RFC3339Nano, last)
		if err == nil && (time.Since(at)+off).Abs() > time.Minute {
			err = fmt.Errorf("the agent's clock is at %v, %v off", at, -time.Since(at))
		}
		return err
	})
}
