package proc

import (
	"errors"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poll is how often a dying process group is looked at; the kernel tells
// only about our own child.
const poll = 2 * time.Millisecond

// Child is one started process and its process group.
type Child struct {
	cmd  *exec.Cmd
	pid  int
	done chan struct{}
	err  error // set before done is closed

	mu     sync.Mutex
	reaped bool      // the pid may belong to somebody else from now on
	until  time.Time // grace of the rest of the group once the leader has ended
}

func newChild(cmd *exec.Cmd) *Child {
	return &Child{cmd: cmd, pid: cmd.Process.Pid, done: make(chan struct{})}
}

// PID returns the process id, which is the process group's id too.
func (c *Child) PID() int { return c.pid }

// Done is closed when the child and all of its process group are gone.
func (c *Child) Done() <-chan struct{} { return c.done }

// Wait returns what exec.Cmd.Wait returned, once all of the group is gone. A
// process that the kernel cannot end (a hung disk) keeps it waiting: whoever
// went on meanwhile could be overtaken by that process later.
func (c *Child) Wait() error {
	<-c.done
	return c.err
}

// Stop ends the group: TERM, at most grace of time, KILL, and waits. It returns
// the exit error like Wait, and may be called any number of times.
func (c *Child) Stop(grace time.Duration) error {
	c.mu.Lock()
	if c.until.IsZero() {
		c.until = time.Now().Add(grace)
	}
	c.mu.Unlock()
	c.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		c.signal(syscall.SIGKILL)
	}
	return c.Wait()
}

// signal reaches the group only as long as the leader's pid is held by us.
func (c *Child) signal(sig syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		_ = syscall.Kill(-c.pid, sig)
	}
}

// reap waits for the leader, ends what it left and tells ended. The leader is
// reaped after its group got KILL: until then no other process can have the
// group's id.
func (c *Child) reap(ended func(*Child)) {
	awaitExit(c.pid)
	c.awaitRest()
	c.signal(syscall.SIGKILL)
	c.mu.Lock()
	c.reaped = true
	c.mu.Unlock()
	c.err = c.cmd.Wait()
	awaitGroup(c.pid)
	ended(c)
	close(c.done)
}

// awaitExit blocks until pid has ended and leaves it to be reaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// awaitRest leaves the rest of a group that was asked to stop its grace.
func (c *Child) awaitRest() {
	for {
		c.mu.Lock()
		until := c.until
		c.mu.Unlock()
		if !time.Now().Before(until) || len(members(c.pid)) == 0 {
			return
		}
		time.Sleep(poll)
	}
}

// awaitGroup waits until nothing of the group is alive. Orphans become our own
// children where we are process 1 of a container, and are reaped here; another
// process 1 may leave them unreaped for long, but they are dead.
func awaitGroup(pgid int) {
	for {
		_, _ = syscall.Wait4(-pgid, nil, syscall.WNOHANG, nil)
		if errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH) || len(members(pgid)) == 0 {
			return
		}
		time.Sleep(poll)
	}
}
