package chaostest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// staleCases are about old content that is still on its way when newer content
// has arrived. Each ends with newer content that the master holds for confirmed,
// and with a rest of the old that would replace it.
func staleCases() []faultCase {
	return []faultCase{
		{
			name: "zombie_writer", quiet: true,
			says:     "a session of the daemon is stopped in the middle of a file, the agent is killed and started again and sends newer content, then the session goes on",
			settings: hidden,
			setup:    func(w *world) { w.roomy() },
			fault: func(w *world) {
				w.slaves[0].shape("rate 2mbit burst 32kbit limit 10000000")
				w.file("big.bin", 600<<10)
				w.midFile(64 << 10)
				// Its sister would end it, did both of them go on.
				stopped := w.slaves[0].writers(".big.bin.")
				signalAll(stopped, syscall.SIGSTOP)
				defer signalAll(stopped, syscall.SIGCONT)
				w.slaves[0].unshape()
				w.eventually(10*time.Second, w.delivered)
				w.tamper(func() {}) // a temporary file that the filter spares is left
				w.agent.kill()
				w.startAgent()
				w.newer(time.Minute)
				w.shows(time.Minute, "s1", "in sync", claims)
			},
			heal: func(w *world) {
				pause(3 * time.Second)
				w.sweepUp()
			},
		},
		{
			name: "killed_on_slow_line", quiet: true,
			says:     "the agent is killed in the middle of a file on a line of 512 kbit/s and started again; newer content arrives before the rest of the old",
			settings: hidden,
			setup:    func(w *world) { w.roomy() },
			fault: func(w *world) {
				w.slaves[0].shape("rate 512kbit burst 32kbit latency 400ms")
				w.file("big.bin", 1500<<10)
				w.midFile(64 << 10)
				w.tamper(func() {}) // a temporary file that the filter spares is left
				w.agent.kill()
				w.startAgent()
				w.newer(2 * time.Minute)
				pause(30 * time.Second) // as long as the rest takes
			},
			heal: func(w *world) {
				w.slaves[0].unshape()
				w.sweepUp()
			},
		},
	}
}

// hidden spares what begins with a dot, as many people's filters do. Without it a
// sweep would remove the temporary file of an old session, which then has nothing to
// rename.
const hidden = "filter: [\"- .*\"]\n"

// sweepUp removes the temporary files that are left, as its administrator would.
func (w *world) sweepUp() {
	w.Helper()
	parts, _ := filepath.Glob(filepath.Join(w.slaves[0].tree, ".big.bin.*"))
	for _, p := range parts {
		_ = os.Remove(p) // or it has been renamed
	}
	w.amend()
}

// newer replaces the content of the large file and waits until the first slave has
// it.
func (w *world) newer(limit time.Duration) {
	w.Helper()
	w.edit(func() { w.write(w.at("big.bin"), "newer") })
	w.eventually(limit, func() error {
		if n := size(filepath.Join(w.slaves[0].tree, "big.bin")); n != 5 {
			return fmt.Errorf("the slave's file has %d bytes", n)
		}
		return nil
	})
}

// writers are those sessions that have a file open whose name begins so.
func (s *slave) writers(prefix string) (pids []int) {
	for _, pid := range s.sessions() {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, fd := range fds {
			if name, _ := os.Readlink(fd); strings.HasPrefix(filepath.Base(name), prefix) {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// delivered reports whether all that the master has said to slaves stands in their
// kernels.
func (w *world) delivered() error {
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", w.agent.pid))
	for line := range strings.Lines(string(table)) {
		// "sl local remote st tx:rx ..." of proc_pid_net(5)
		f := strings.Fields(line)
		if err == nil && len(f) > 4 && strings.HasSuffix(f[2], ":0369") && !strings.HasPrefix(f[4], "00000000:") {
			err = fmt.Errorf("on the way: %s", line)
		}
	}
	return err
}

// roomy has the kernels of the master and of the first slave take a megabyte and more
// into a socket, as they do on their own where lines are long.
func (w *world) roomy() {
	w.Helper()
	w.master.sysctl("ipv4/tcp_wmem", "4096 4194304 8388608")
	w.slaves[0].sysctl("ipv4/tcp_rmem", "4096 4194304 8388608")
}

// sysctl sets a parameter of the host's network.
func (h *host) sysctl(name, value string) {
	h.t.Helper()
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for ever: the thread is the host's now
		err := h.enter()
		if err == nil {
			err = os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644)
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		h.t.Fatalf("set %s on %s: %v", name, h.name, err)
	}
}
