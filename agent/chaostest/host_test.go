package chaostest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// host is a network namespace behind the bridge of ours.
type host struct {
	t    testing.TB
	name string // of the namespace
	addr string
	env  []string
}

// makeSwitch makes the bridge that connects all hosts.
func makeSwitch() error {
	err := errors.Join(os.MkdirAll("/run/netns", 0o755), unix.Mount("chaos", "/run/netns", "tmpfs", 0, "mode=0755"))
	if err != nil {
		return fmt.Errorf("make a place for network namespaces: %w", err)
	}
	return ip("link set lo up", "link add br0 type bridge", "link set br0 up")
}

// ip runs commands of ip(8).
func ip(lines ...string) error {
	for _, line := range lines {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, out)
		}
	}
	return nil
}

// newHost makes a host that is gone with the test. The other end of its link
// is port().
func newHost(t testing.TB, name, addr string) *host {
	t.Helper()
	h := &host{t: t, name: name, addr: addr}
	n := "-n " + name + " "
	h.ip("netns add "+name,
		"link add "+h.port()+" type veth peer name eth0 netns "+name,
		"link set "+h.port()+" master br0 up",
		n+"link set lo up", n+"addr add "+addr+"/16 dev eth0", n+"link set eth0 up")
	t.Cleanup(func() { _ = ip("link del "+h.port(), "netns del "+name) })
	return h
}

func (h *host) port() string { return "v-" + h.name }

func (h *host) ip(lines ...string) {
	h.t.Helper()
	if err := ip(lines...); err != nil {
		h.t.Fatal(err)
	}
}

// cut takes the host's link down, mend brings it up again.
func (h *host) cut()  { h.t.Helper(); h.ip("link set " + h.port() + " down") }
func (h *host) mend() { h.t.Helper(); h.ip("link set " + h.port() + " up") }

// deafTo drops what the host would answer another one: its requests come in and
// nothing comes back.
func (h *host) deafTo(o *host) {
	h.t.Helper()
	h.ip("-n " + h.name + " route add blackhole " + o.addr + "/32")
}

func (h *host) hearing(o *host) {
	h.t.Helper()
	h.ip("-n " + h.name + " route del blackhole " + o.addr + "/32")
}

// process runs on a host and writes into a log.
type process struct {
	name string
	pid  int
	log  string
	done chan struct{}
	err  error // set before done is closed
}

// start launches a program there. It dies with us.
func (h *host) start(log string, cmd *exec.Cmd) *process {
	h.t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		h.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(append(os.Environ(), h.env...), cmd.Env...)
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	p := &process{name: filepath.Base(log), log: log, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		defer out.Close()
		runtime.LockOSThread() // for ever: the thread is the host's now, and Pdeathsig fires when it ends
		err := errors.Join(h.enter(), cmd.Start())
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		h.t.Fatalf("start %s on %s: %v", cmd, h.name, err)
	}
	p.pid = cmd.Process.Pid
	return p
}

// enter moves the calling thread to the host.
func (h *host) enter() error {
	ns, err := os.Open("/run/netns/" + h.name)
	if err != nil {
		return err
	}
	defer ns.Close()
	return unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
}

// run waits for a program to end well and returns what it said.
func (h *host) run(args ...string) string {
	h.t.Helper()
	code, said := h.exit(args...)
	if code != 0 {
		h.t.Fatalf("%s on %s: exit code %d: %s", strings.Join(args, " "), h.name, code, said)
	}
	return said
}

// exit waits for a program and returns its exit code and what it said.
func (h *host) exit(args ...string) (code int, said string) {
	h.t.Helper()
	log := filepath.Join(h.t.TempDir(), "out")
	p := h.start(log, exec.Command(args[0], args[1:]...))
	<-p.done
	text, err := os.ReadFile(log)
	if err != nil {
		h.t.Fatal(err)
	}
	var exit *exec.ExitError
	switch {
	case p.err == nil:
		return 0, string(text)
	case errors.As(p.err, &exit):
		return exit.ExitCode(), string(text)
	}
	h.t.Fatal(p.err)
	return 0, ""
}

func (p *process) signal(sig syscall.Signal) { _ = syscall.Kill(p.pid, sig) }

// kill ends the process, none of its children, as a crash would.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// ended waits for the process at most that long.
func (p *process) ended(limit time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(limit):
		return false
	}
}

// said reports whether the log holds a text.
func (p *process) said(text string) bool {
	b, err := os.ReadFile(p.log)
	return err == nil && strings.Contains(string(b), text)
}
