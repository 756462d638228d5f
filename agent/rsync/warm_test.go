package rsync_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"syncagent/agent/proc"
	"syncagent/agent/rsync"
)

// countSpawner counts what is started.
type countSpawner struct {
	rsync.Spawner
	starts atomic.Int64
}

func (c *countSpawner) Start(cmd *exec.Cmd) (*proc.Child, error) {
	c.starts.Add(1)
	return c.Spawner.Start(cmd)
}

// warmed returns a client that keeps connections waiting until the returned
// function is called, which waits until they are gone.
func (w *world) warmed(slots *rsync.Slots) (*rsync.Client, *countSpawner, func()) {
	sp := &countSpawner{Spawner: w.sp}
	c := rsync.New(rsync.Config{Source: w.src, Dest: w.dest, Options: w.opts, Spawner: sp, Slots: slots})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Warm(ctx) }()
	return c, sp, func() {
		cancel()
		must(w.t, <-done)
	}
}

func (w *world) put(c *rsync.Client, dir *os.File, name, text string) {
	w.t.Helper()
	must(w.t, os.WriteFile(filepath.Join(dir.Name(), name), []byte(text), 0o644))
	w.clean(c.Send(context.Background(), dir, rsync.Batch{Send: paths(name)}))
	got, err := os.ReadFile(filepath.Join(w.dst, name))
	if err != nil || string(got) != text {
		w.t.Errorf("slave has %q in %s (%v), want %q", got, name, err, text)
	}
}

func (w *world) started(sp *countSpawner, n int64) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%d processes were started", n), func() bool { return sp.starts.Load() == n })
}

func TestWaitingConnectionIsUsed(t *testing.T) {
	w := newWorld(t)
	c, sp, stop := w.warmed(nil)
	dir := w.root()
	defer dir.Close()
	w.put(c, dir, "a", "cold\n")
	for i := range int64(5) {
		w.started(sp, 2+i) // the run before, and one that waits
		w.put(c, dir, "a", fmt.Sprintf("warm %d\n", i))
	}
	w.started(sp, 7)
	stop()
	if kids := children(); len(kids) != 1 { // the daemon
		t.Errorf("children left: %v", kids)
	}
}

func TestDeadConnectionCostsNothing(t *testing.T) {
	w := newWorld(t)
	c, sp, stop := w.warmed(nil)
	defer stop()
	dir := w.root()
	defer dir.Close()
	w.put(c, dir, "a", "one\n")
	w.started(sp, 2)
	_ = w.daemon.Stop(0) // says that it was killed
	w.startDaemon()
	w.put(c, dir, "a", "two\n")
}

func TestConnectionOfAnotherDirectoryIsNotUsed(t *testing.T) {
	w := newWorld(t)
	c, sp, stop := w.warmed(nil)
	defer stop()
	dir := w.root()
	defer dir.Close()
	w.put(c, dir, "a", "old tree\n")
	w.started(sp, 2)
	must(t, os.Rename(w.src, w.src+".old"))
	must(t, os.Mkdir(w.src, 0o755))
	next := w.root()
	defer next.Close()
	w.put(c, next, "a", "new tree\n")
}

func TestWaitingConnectionsAreBounded(t *testing.T) {
	w := newWorld(t)
	slots := rsync.NewSlots(1)
	must(t, slots.Acquire(t.Context())) // another client has the only place
	c, sp, stop := w.warmed(slots)
	defer stop()
	dir := w.root()
	defer dir.Close()
	w.put(c, dir, "a", "one\n")
	w.put(c, dir, "a", "two\n")
	if n := sp.starts.Load(); n != 2 {
		t.Errorf("%d processes for two runs without a place to wait", n)
	}
}

// Work gets the slot of a connection that only waits.
func TestWaitingConnectionsGiveWay(t *testing.T) {
	w := newWorld(t)
	slots := rsync.NewSlots(1)
	c, sp, stop := w.warmed(slots)
	defer stop()
	dir := w.root()
	defer dir.Close()
	w.put(c, dir, "a", "one\n")
	w.started(sp, 2)
	must(t, slots.Acquire(t.Context()))
	w.put(c, dir, "a", "two\n")
	w.started(sp, 3)
	slots.Release()
}

// A waiting connection that was given the list and then hung is cut off, whatever the
// run that took its place did: its session may still act on the list.
func TestHangingConnectionIsCutOff(t *testing.T) {
	w := newWorld(t)
	w.opts.Stall = time.Second
	c, sp, stop := w.warmed(nil)
	defer stop()
	dir := w.root()
	defer dir.Close()
	w.put(c, dir, "a", "one\n")
	w.started(sp, 2)
	var sessions []int
	eventually(t, "a session waits", func() bool {
		sessions = childrenOf(w.daemon.PID())
		return len(sessions) == 1 && connected(sessions[0]) // the run's own may still be ending
	})
	signal := func(sig syscall.Signal) {
		for _, pid := range sessions {
			_ = syscall.Kill(pid, sig)
		}
	}
	signal(syscall.SIGSTOP)
	defer signal(syscall.SIGKILL)
	must(t, os.WriteFile(filepath.Join(dir.Name(), "a"), []byte("two\n"), 0o644))
	out := c.Send(context.Background(), dir, rsync.Batch{Send: paths("a")})
	if out.Err != nil || !out.Cut {
		t.Errorf("cut off: %v, %v", out.Cut, out.Err)
	}
}

// connected reports whether the other side of a session's connection is open.
func connected(pid int) bool {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	table, _ := os.ReadFile("/proc/net/tcp")
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		const state, inode, established = 3, 9, "01"
		if len(f) <= inode || f[state] != established {
			continue
		}
		if slices.ContainsFunc(links, func(l string) bool { to, _ := os.Readlink(l); return to == "socket:["+f[inode]+"]" }) {
			return true
		}
	}
	return false
}
