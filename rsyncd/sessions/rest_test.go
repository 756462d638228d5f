package sessions

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// resting starts a look, and returns when it is about to be made.
func resting(t *testing.T, w *Watch) (conf string, woken chan struct{}) {
	t.Helper()
	conf = filepath.Join(t.TempDir(), "rsyncd.conf")
	if err := os.WriteFile(conf, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	w.Conf, w.Log = conf, slog.New(slog.DiscardHandler)
	armed := make(chan struct{}, 1)
	daemon := w.Daemon
	w.Daemon = func() int { // it is asked when the file is watched
		armed <- struct{}{}
		return daemon()
	}
	ctx, cancel := context.WithCancel(context.Background())
	woken = make(chan struct{})
	go func() {
		defer close(woken)
		w.lookOrRest(ctx)
	}()
	t.Cleanup(func() { cancel(); <-woken })
	<-armed
	return conf, woken
}

func isWoken(t *testing.T, woken chan struct{}) {
	t.Helper()
	select {
	case <-woken:
	case <-time.After(time.Minute):
		t.Error("rests on")
	}
}

// TestRestEndsWithASession: a daemon opens its configuration for each connection, and a
// new one may have been put in its place.
func TestRestEndsWithASession(t *testing.T) {
	nobody := func() int { return 0 }
	t.Run("opened", func(t *testing.T) {
		conf, woken := resting(t, &Watch{Daemon: nobody})
		if _, err := os.ReadFile(conf); err != nil {
			t.Fatal(err)
		}
		isWoken(t, woken)
	})
	t.Run("replaced", func(t *testing.T) {
		conf, woken := resting(t, &Watch{Daemon: nobody})
		if err := os.WriteFile(conf+".new", nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(conf+".new", conf); err != nil {
			t.Fatal(err)
		}
		isWoken(t, woken)
	})
}

// TestNoRestBesideASession: one that began before the file was watched is not missed.
func TestNoRestBesideASession(t *testing.T) {
	leader := group(t, 0)
	group(t, leader)
	_, woken := resting(t, &Watch{Daemon: func() int { return leader }})
	isWoken(t, woken)
}

// TestNoRestWithoutEvents: what cannot be watched is looked at all the time.
func TestNoRestWithoutEvents(t *testing.T) {
	w := Watch{Daemon: func() int { return 0 }, Conf: filepath.Join(t.TempDir(), "missing"), Log: slog.New(slog.DiscardHandler)}
	w.lookOrRest(t.Context())
}

// group starts a process in a group, its own if leader is 0.
func group(t *testing.T, leader int) (pid int) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: leader, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid
}
