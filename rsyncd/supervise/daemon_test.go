package supervise_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"syncagent/agent/proc"
	"syncagent/rsyncd/probe"
	"syncagent/rsyncd/rsyncdtest"
	"syncagent/rsyncd/supervise"
)

const patience = 30 * time.Second

// keep runs the daemon's configuration under a Supervisor; ready counts how
// often it was running.
func keep(t *testing.T, d *rsyncdtest.Daemon, log string) (s *supervise.Supervisor, stop func(), ready *atomic.Int32) {
	t.Helper()
	spawnCtx, stopSpawner := context.WithCancel(context.Background())
	ctx, cancel := context.WithCancel(context.Background())
	spawner := proc.NewSpawner("")
	ready = new(atomic.Int32)
	spawned, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(spawned)
		if err := spawner.Run(spawnCtx); err != nil {
			t.Errorf("spawner: %v", err)
		}
	}()
	bin := rsyncdtest.Rsync(t)
	s = supervise.New(supervise.Config{
		Name:    "rsync daemon",
		Command: func() *exec.Cmd { return exec.Command(bin, "--daemon", "--no-detach", "--config="+d.ConfFile) },
		Spawner: spawner,
		Ready: func(ctx context.Context) error {
			if ok, err := probe.Listens(s.Status().PID, d.Port); err != nil || !ok {
				return fmt.Errorf("not listening: %v", err)
			}
			return d.Greeting(ctx)
		},
		OnState: func(st supervise.State) {
			if st == supervise.Running {
				ready.Add(1)
			}
		},
		LogFile: log,
		Backoff: supervise.Backoff{Min: 20 * time.Millisecond, Max: 100 * time.Millisecond},
	})
	go func() {
		defer close(ended)
		_ = s.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
		stopSpawner()
		<-spawned
	}
	t.Cleanup(stop)
	return s, stop, ready
}

func eventually(t *testing.T, s *supervise.Supervisor, want func(supervise.Status) bool) supervise.Status {
	t.Helper()
	var got supervise.Status
	rsyncdtest.Eventually(t, patience, func() error {
		if got = s.Status(); !want(got) {
			return fmt.Errorf("status %+v", got)
		}
		return nil
	})
	return got
}

func running(st supervise.Status) bool { return st.State == supervise.Running }

func TestDaemonIsStartedAgain(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	d := rsyncdtest.Start(t, rsyncdtest.Options{})
	d.Kill() // its configuration is what we want
	s, stop, _ := keep(t, d, "")

	first := eventually(t, s, running)
	if err := d.Greeting(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := eventually(t, s, func(st supervise.Status) bool { return running(st) && st.PID != first.PID })
	if second.Restarts != 1 {
		t.Errorf("got %+v", second)
	}
	if err := d.Greeting(t.Context()); err != nil {
		t.Error(err)
	}

	// A HUP, which ends a daemon, is mended too.
	if err := syscall.Kill(second.PID, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	third := eventually(t, s, func(st supervise.Status) bool { return running(st) && st.PID != second.PID })

	s.Restart()
	eventually(t, s, func(st supervise.Status) bool { return running(st) && st.PID != third.PID })
	stop()
	if err := d.Greeting(t.Context()); err == nil {
		t.Error("the daemon still answers")
	}
}

// The sessions of a killed daemon go with it: one that lived on could put old
// content over new.
func TestSessionsEndWithTheDaemon(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	d := rsyncdtest.Start(t, rsyncdtest.Options{})
	d.Kill()
	s, stop, _ := keep(t, d, "")
	first := eventually(t, s, running)

	finish := session(t, d)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := finish(); err == nil {
		t.Error("the session went on without its daemon")
	}
	eventually(t, s, func(st supervise.Status) bool { return running(st) && st.PID != first.PID })

	finish = session(t, d)
	stop()
	if err := finish(); err == nil {
		t.Error("the session went on after the end")
	}
}

// session starts a push that waits for its list, once the daemon has logged it
// in. The result ends the list and says how the push went.
func session(t *testing.T, d *rsyncdtest.Daemon) (finish func() error) {
	t.Helper()
	client := exec.Command(rsyncdtest.Rsync(t), "-a", "--files-from=-", "--password-file="+d.PasswordFile, t.TempDir()+"/", d.URL("data"))
	stdin, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	before := strings.Count(d.Log(), "rsync to data")
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	rsyncdtest.Eventually(t, patience, func() error {
		if strings.Count(d.Log(), "rsync to data") == before {
			return errors.New("no session in the log:\n" + d.Log())
		}
		return nil
	})
	return func() error { return errors.Join(stdin.Close(), client.Wait()) }
}

// rsync says nothing on its output when the port is taken, only in its log.
func TestPortTaken(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	d := rsyncdtest.Start(t, rsyncdtest.Options{})
	log := d.Conf.LogFile
	d.Kill()
	taken, err := net.Listen("tcp", d.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	s, _, _ := keep(t, d, log)
	got := eventually(t, s, func(st supervise.Status) bool { return st.Restarts >= 1 && st.State == supervise.Waiting })
	if !strings.Contains(got.LastError, "Address already in use") || len(got.LastLines) == 0 {
		t.Errorf("got %+v", got)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, running)
}

// A foreign daemon on the port greets too; ours must not count as running.
func TestForeignDaemonOnThePort(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	d := rsyncdtest.Start(t, rsyncdtest.Options{})
	foreign := d.PID()
	ours := d.Conf
	ours.PIDFile = filepath.Join(t.TempDir(), "pid")
	d.WriteConf(ours)
	s, stop, ready := keep(t, d, d.Conf.LogFile)
	eventually(t, s, func(st supervise.Status) bool { return st.Restarts >= 2 && st.State == supervise.Waiting })
	stop()
	if n := ready.Load(); n != 0 {
		t.Errorf("reported ready %d times", n)
	}
	if err := syscall.Kill(foreign, 0); err != nil {
		t.Errorf("the foreign daemon is gone: %v", err)
	}
	if err := d.Greeting(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestBrokenConfiguration(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	d := rsyncdtest.Start(t, rsyncdtest.Options{})
	d.Kill()
	if err := os.Remove(d.ConfFile); err != nil {
		t.Fatal(err)
	}
	s, _, _ := keep(t, d, "")
	got := eventually(t, s, func(st supervise.Status) bool { return st.State == supervise.Waiting })
	if !strings.Contains(got.LastError, "rsyncd.conf") {
		t.Errorf("the reason is missing: %+v", got)
	}
}
