package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/proc"
	"syncagent/agent/rsync"
	"syncagent/rsyncd/rsyncdtest"
	"syncagent/rsyncd/supervise"
	"syncagent/secrets"
)

// receiving is a running receiver of the modules www and bbs.
type receiving struct {
	*testing.T
	*Receiver
	dir  string
	pass string
	log  *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func receive(t *testing.T, change func(*Receiver)) *receiving {
	t.Helper()
	r := &receiving{T: t, dir: t.TempDir(), log: &lockedBuffer{}}
	r.pass = filepath.Join(r.dir, "pass")
	r.must(os.WriteFile(r.pass, []byte("secret\n"), 0o600))
	secret, err := secrets.LoadFile(r.pass)
	r.must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	c := config.NewReceiver()
	c.StateDir, c.ConfFile = filepath.Join(r.dir, "state"), filepath.Join(r.dir, "rsyncd.conf")
	c.Auth.SecretsFile = filepath.Join(r.dir, "rsyncd.secrets")
	c.Address, c.Port, c.Allow = "127.0.0.1", l.Addr().(*net.TCPAddr).Port, []string{"127.0.0.1"}
	for _, name := range []string{"www", "bbs"} {
		c.Modules = append(c.Modules, config.NewReceiverModule(name, filepath.Join(r.dir, name)))
	}
	r.must(l.Close())
	w := Wanted{File: filepath.Join(r.dir, "receiver.yaml"), Secret: secret, Rsync: rsyncdtest.Rsync(t), Root: os.Geteuid() == 0}
	r.Receiver = NewReceiver(w, c, slog.New(slog.NewTextHandler(r.log, nil)))
	r.pace = pace{roots: 20 * time.Millisecond, sessions: 100 * time.Millisecond, alive: 50 * time.Millisecond, patience: time.Second, rest: 50 * time.Millisecond}
	if change != nil {
		change(r.Receiver)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Receiver.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("receiver: %v", err)
		}
		if t.Failed() {
			t.Log(r.log.String())
		}
	})
	r.until("ready", func() bool {
		select {
		case <-r.Ready():
			return true
		default:
			return false
		}
	})
	return r
}

func (r *receiving) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *receiving) until(what string, is func() bool) {
	r.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.Fatalf("not %s in 30 s; log:\n%s", what, r.log)
		}
	}
}

// push starts a client that sends what it is told on its standard input.
func (r *receiving) push(source, module string, args ...string) (*exec.Cmd, io.WriteCloser) {
	r.Helper()
	args = append(args, "-aI", "--from0", "--files-from=-", "--password-file="+r.pass, source+"/",
		"rsync://repl@127.0.0.1:"+strconv.Itoa(r.current().Port)+"/"+module+"/")
	cmd := exec.Command(r.want.Rsync, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	r.must(err)
	r.must(cmd.Start())
	r.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, in
}

func (r *receiving) session() []proc.Member { return proc.Members(r.Status().PID) }

// TestChangeEndsOlderSessions: a connection that waits for its list must not push
// by a configuration that is no longer in force.
func TestChangeEndsOlderSessions(t *testing.T) {
	r := receive(t, nil)
	source := t.TempDir()
	r.must(os.WriteFile(filepath.Join(source, "f"), []byte("new"), 0o644))
	cmd, in := r.push(source, "www")
	r.until("connected", func() bool { return len(r.session()) > 0 })
	next := *r.current()
	next.Modules = []config.ReceiverModule{config.NewReceiverModule("www", filepath.Join(r.dir, "elsewhere")), next.Modules[1]}
	r.must(r.Reload(context.Background(), &next))
	_, _ = in.Write([]byte("/f\x00")) // nobody may read it any more
	_ = in.Close()
	if err := cmd.Wait(); err == nil {
		t.Error("the old session took a push")
	}
	if _, err := os.Stat(filepath.Join(r.dir, "www", "f")); err == nil {
		t.Error("the push went to the old path")
	}
}

// TestDeadSessionOverwritesNothing: a receiving process is stopped before it puts
// an old file in place, its client is killed, and a new file is sent and confirmed.
// Woken up, the old process must not replace it.
func TestDeadSessionOverwritesNothing(t *testing.T) {
	r := receive(t, func(r *Receiver) { r.pace.rest = time.Hour }) // nothing but the session itself has it looked for
	source := t.TempDir()
	file, there := filepath.Join(source, "f"), filepath.Join(r.dir, "www", "f")
	old := strings.Repeat("v1", 16<<10)
	r.must(os.WriteFile(file, []byte(old), 0o644))
	cmd, in := r.push(source, "www", "--bwlimit=16")
	_, err := in.Write([]byte("/f\x00"))
	r.must(err)
	r.must(in.Close())
	r.until("receiving", func() bool { // two processes, and a file that is not whole
		temp, _ := filepath.Glob(filepath.Join(r.dir, "www", ".f.*"))
		return len(r.session()) == 2 && len(temp) == 1
	})
	session := r.session()
	for _, m := range session {
		r.must(m.Signal(syscall.SIGSTOP))
	}
	last, since := 0, time.Now()
	r.until("sent", func() bool { // all of it, and nothing more for a while
		n := sentBy(cmd.Process.Pid)
		if n != last {
			last, since = n, time.Now()
		}
		return n > len(old) && time.Since(since) > 500*time.Millisecond
	})
	r.must(cmd.Process.Kill())
	_ = cmd.Wait()

	r.must(os.WriteFile(file, []byte("v2"), 0o644))
	// As long as a master waits before it tries again.
	ended := func() bool { return !session[0].Alive() && !session[1].Alive() }
	for end := time.Now().Add(cutRest); !ended() && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	again, in2 := r.push(source, "www")
	_, err = in2.Write([]byte("/f\x00"))
	r.must(err)
	r.must(in2.Close())
	r.must(again.Wait())
	for _, m := range session {
		r.must(m.Signal(syscall.SIGCONT))
	}
	r.until("ended", ended)
	if got, err := os.ReadFile(there); err != nil || string(got) != "v2" {
		t.Errorf("the slave has %d bytes of the old session (%v)", len(got), err)
	}
}

// sentBy is how many bytes a process wrote.
func sentBy(pid int) (n int) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	_, rest, _ := strings.Cut(string(data), "wchar: ")
	_, _ = fmt.Sscan(rest, &n)
	return n
}

// TestLiveSessionsAreLeft: a session whose client only has nothing to say yet goes on.
func TestLiveSessionsAreLeft(t *testing.T) {
	r := receive(t, nil)
	source := t.TempDir()
	r.must(os.WriteFile(filepath.Join(source, "f"), []byte("new"), 0o644))
	cmd, in := r.push(source, "www")
	r.until("connected", func() bool { return len(r.session()) > 0 })
	other, _ := r.push(source, "bbs")
	r.until("both connected", func() bool { return len(r.session()) > 1 })
	r.must(other.Process.Signal(syscall.SIGSTOP))
	for _, m := range r.session() {
		r.must(m.Signal(syscall.SIGSTOP)) // else the other would end by itself
	}
	r.must(other.Process.Kill())
	r.until("the dead one ended", func() bool { return len(r.session()) == 1 })
	r.must(r.session()[0].Signal(syscall.SIGCONT))
	_, err := in.Write([]byte("/f\x00"))
	r.must(err)
	r.must(in.Close())
	r.must(cmd.Wait())
}

// TestWedgedDaemonIsStartedAgain: the kernel takes connections for a daemon that is
// stopped; only a greeting tells.
func TestWedgedDaemonIsStartedAgain(t *testing.T) {
	r := receive(t, func(r *Receiver) { r.pace.patience = 100 * time.Millisecond })
	pid := r.Status().PID
	r.must(syscall.Kill(pid, syscall.SIGSTOP))
	r.until("started again", func() bool { st := r.Status(); return st.State == supervise.Running && st.PID != pid })
	_, err := rsync.Probe(context.Background(), rsync.Dest{Host: "127.0.0.1", Port: r.current().Port})
	r.must(err)
}
