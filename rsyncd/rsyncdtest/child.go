package rsyncdtest

import (
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// child is a process that dies with the test binary, in a group of its own.
type child struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// startChild starts the process from a thread that lives as long as it does:
// Pdeathsig fires when that thread ends.
func startChild(t testing.TB, bin string, args ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(bin, args...), done: make(chan struct{})}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		defer close(c.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			_ = c.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (c *child) signal(sig syscall.Signal) {
	_ = syscall.Kill(-c.cmd.Process.Pid, sig)
}

// stop signals the group, makes sure that it ends, a suspended one too, and
// waits until nothing is left of it.
func (c *child) stop(sig syscall.Signal) {
	pgid := c.cmd.Process.Pid
	c.signal(sig)
	c.signal(syscall.SIGCONT)
	deadline := time.Now().Add(2 * time.Second)
	for !c.ended() || groupLives(pgid) {
		if time.Now().After(deadline) {
			c.signal(syscall.SIGKILL)
		}
		time.Sleep(time.Millisecond)
	}
}
