package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// field returns the number behind "name:" in a file such as /proc/PID/status.
func field(text []byte, name string) (int64, error) {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(name+":")); ok {
			f := strings.Fields(string(rest))
			if len(f) == 0 {
				break
			}
			return strconv.ParseInt(f[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("find %s in process status", name)
}

// memory returns the resident set of a process in MB.
func memory(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	kb, err := field(text, "VmRSS")
	return float64(kb) / 1024, err
}

// wakeups counts how often the threads of a process went to sleep, which each
// time ends with being woken.
func wakeups(pid int) (int64, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("count wake-ups of process %d: it is gone", pid)
	}
	var sum int64
	for _, t := range tasks {
		text, err := os.ReadFile(t)
		if err != nil {
			continue // the thread ended
		}
		n, err := field(text, "voluntary_ctxt_switches")
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// cpuTime is what the threads of a process alone have used, user and system,
// its children not counted. The id of a process's clock is made as in the C
// library's clock_getcpuclockid: complement, shifted by three, type SCHED.
func cpuTime(pid int) (time.Duration, error) {
	const sched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|sched), &ts); err != nil {
		return 0, fmt.Errorf("read clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// loopbackBytes is all that was ever sent over the loopback interface, whoever
// sent it.
func loopbackBytes() (int64, error) {
	text, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		return 0, err
	}
	return parseLoopback(string(text))
}

// parseLoopback takes the ninth number of the line of lo: bytes transmitted
// (proc_pid_net(5)).
func parseLoopback(text string) (int64, error) {
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		if f := strings.Fields(rest); strings.TrimSpace(name) == "lo" && len(f) > 8 {
			return strconv.ParseInt(f[8], 10, 64)
		}
	}
	return 0, fmt.Errorf("find the loopback interface in /proc/net/dev")
}
