package rsync

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// trickle is how many bytes a run must have read and written since it last
// moved to have moved again. A daemon whose disk hangs still sends four bytes
// of keep-alive every half --timeout, which rsync's own timeout takes for
// life.
const trickle = 1024

// progress finds runs that hang. A line of output always is progress.
type progress struct {
	limit           time.Duration
	last            time.Time
	output, traffic int64
}

func (p *progress) stalled(now time.Time, output, traffic int64) bool {
	if output != p.output || traffic >= p.traffic+trickle {
		p.output, p.traffic, p.last = output, traffic, now
		return false
	}
	return now.Sub(p.last) >= p.limit
}

// opensPipe reports whether a process waits for somebody to open the other end of a
// named pipe (proc_pid_wchan(5); the kernel's function is of fs/pipe.c). Rsync never
// means to: a pipe took the place of a file that it had listed, and no time-out of its
// own ends that.
func opensPipe(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
	return err == nil && string(b) == "wait_for_partner"
}

// traffic is what a process has read and written so far in bytes, files and
// sockets alike (proc_pid_io(5)); 0 when it cannot be read.
func traffic(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0
	}
	var sum int64
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if key == "rchar" || key == "wchar" {
			n, _ := strconv.ParseInt(value, 10, 64)
			sum += n
		}
	}
	return sum
}
