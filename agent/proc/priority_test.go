package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// niceOf reads field 19 of /proc/PID/stat, ioOf asks the kernel.
func niceOf(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	n, err := strconv.Atoi(fields[16])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ioOf(t *testing.T, pid int) (class IOClass, level int) {
	t.Helper()
	v, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, ioprioWhoProcess, uintptr(pid), 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	return IOClass(v >> ioprioClassShift), int(v & 7)
}

func TestPriorityIsTheChildrens(t *testing.T) {
	own := niceOf(t, os.Getpid())
	for name, tt := range map[string]struct {
		p     Priority
		level int
	}{
		"unchanged":   {Priority{}, 0},
		"nice":        {Priority{Nice: 5, IO: IOIdle}, 0},
		"best effort": {Priority{Nice: 40, IO: IOBestEffort}, ioprioLowest},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSpawner("")
			s.Lower(tt.p)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			c, err := s.Start(exec.Command("sleep", "1000"))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := niceOf(t, c.PID()), min(own+tt.p.Nice, 19); got != want {
				t.Errorf("nice value %d, want %d", got, want)
			}
			if class, level := ioOf(t, c.PID()); tt.p.IO != IOUnchanged && (class != tt.p.IO || level != tt.level) {
				t.Errorf("I/O class %d, level %d", class, level)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if got := niceOf(t, os.Getpid()); got != own {
				t.Errorf("our own nice value is %d, was %d", got, own)
			}
		})
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "no thread keeps a lowered priority", func() bool {
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			if n, err := unix.Getpriority(unix.PRIO_PROCESS, tid); err == nil && 20-n != own {
				return false
			}
		}
		return true
	})
}

// firstThreadEnv makes the test binary a Spawner that begins on the process's first
// thread, as it may by chance.
const firstThreadEnv = "PROC_TEST_FIRST_THREAD"

// TestFirstThreadKeepsItsPriority asks a process of its own, whose main goroutine
// is on that thread.
func TestFirstThreadKeepsItsPriority(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), firstThreadEnv+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// asked is found out while packages are initialised, which the runtime does on the
// first thread: a lock that is taken then holds for main.
var asked = func() bool {
	yes := os.Getenv(firstThreadEnv) != ""
	if yes {
		runtime.LockOSThread()
	}
	return yes
}()

// lowerOnFirstThread returns an exit code.
func lowerOnFirstThread() int {
	if unix.Gettid() != os.Getpid() {
		fmt.Fprintln(os.Stderr, "the main goroutine is not on the first thread")
		return 1
	}
	before, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	s := NewSpawner("")
	s.Lower(Priority{Nice: 5})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		c, failed := s.Start(exec.Command("true"))
		if failed == nil {
			failed = c.Wait()
		}
		if failed != nil {
			fmt.Fprintln(os.Stderr, failed)
		}
	}()
	ended := s.aside(ctx)
	after, failed := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err := errors.Join(err, ended, failed); err != nil || after != before {
		fmt.Fprintf(os.Stderr, "priority %d, was %d, %v\n", after, before, err)
		return 1
	}
	return 0
}
