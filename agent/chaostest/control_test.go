package chaostest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const rereadText = "configuration read again"

// reconfigure replaces a text in a slave's configuration and has its receiver
// read it again.
func (s *slave) reconfigure(w *world, was, is string) {
	w.Helper()
	s.replace(w, filepath.Join(s.dir, "receiver.yaml"), was, is)
	before := count(s.recv.log, rereadText)
	s.recv.signal(syscall.SIGHUP)
	w.eventually(launchTime, func() error {
		if count(s.recv.log, rereadText) == before {
			return errNothing
		}
		return nil
	})
}

// replace changes the one place in a file where a text stands.
func (s *slave) replace(w *world, name, was, is string) {
	w.Helper()
	b, err := os.ReadFile(name)
	w.must(err)
	if strings.Count(string(b), was) == 0 {
		w.Fatalf("%s holds no %q: %s", name, was, b)
	}
	info, err := os.Stat(name)
	w.must(err)
	w.must(os.WriteFile(name, []byte(strings.Replace(string(b), was, is, 1)), info.Mode()))
}

func count(name, text string) int {
	b, _ := os.ReadFile(name)
	return bytes.Count(b, []byte(text))
}

// sessions are the processes of a slave's daemon, itself left out.
func (s *slave) sessions() []int {
	var pids []int
	for _, daemon := range children(s.recv.pid) {
		pids = append(pids, descendants(daemon)...)
	}
	return pids
}

func signalAll(pids []int, sig syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig)
	}
}

// reloadAgent has the agent read its configuration, and waits until it has
// taken or refused it.
func (w *world) reloadAgent(yaml, text string) {
	w.Helper()
	w.write(w.conf, yaml)
	before := count(w.log(), text)
	w.agent.signal(syscall.SIGHUP)
	w.eventually(launchTime, func() error {
		if count(w.log(), text) == before {
			return errNothing
		}
		return nil
	})
}

// hog takes a connection of a slave's module and keeps it until the returned
// function is called.
func (w *world) hog(from *host, s *slave) (p *process, release func()) {
	w.Helper()
	r, hold, err := os.Pipe()
	w.must(err)
	cmd := exec.Command("rsync", "-r", "--files-from=-", "--password-file="+w.pass(), w.outside+"/", "rsync://repl@"+s.addr+"/data/")
	cmd.Stdin = r
	p = from.start(filepath.Join(w.dir, "hog.log"), cmd)
	r.Close()
	return p, sync.OnceFunc(func() { hold.Close(); <-p.done })
}

// listen serves a port of a host in place of rsync until close is called.
func (h *host) listen(port string, serve func(net.Conn)) (stop func()) {
	h.t.Helper()
	var l net.Listener
	made := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for ever: the thread is the host's now
		err := h.enter()
		for end := time.Now().Add(patience); err == nil; pause(50 * time.Millisecond) { // whoever had the port may be dying yet
			if l, err = net.Listen("tcp", net.JoinHostPort(h.addr, port)); err == nil || time.Now().After(end) {
				break
			}
			err = nil
		}
		made <- err
	}()
	if err := <-made; err != nil {
		h.t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
				serve(conn)
			})
		}
	})
	return func() { l.Close(); all.Wait() }
}

// shape limits what a host receives, as in "rate 8mbit burst 32kbit latency
// 400ms"; unshape ends that.
func (h *host) shape(limit string) { h.t.Helper(); h.tc("add", "tbf "+limit) }
func (h *host) unshape()           { h.t.Helper(); h.tc("del", "") }

func (h *host) tc(verb, what string) {
	h.t.Helper()
	args := append([]string{"qdisc", verb, "dev", h.port(), "root"}, strings.Fields(what)...)
	if out, err := exec.Command("tc", args...).CombinedOutput(); err != nil {
		h.t.Fatalf("tc %s: %v: %s", strings.Join(args, " "), err, out)
	}
}
