package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// inEnvironment runs use as a benchmark would be run.
func inEnvironment(t *testing.T, use func(context.Context, *environment) error) {
	t.Helper()
	opt := options{bound: 20 * time.Second, reps: 3, rounds: 1, dir: t.TempDir()}
	var progress bytes.Buffer
	err := withEnvironment(t.Context(), opt, func(ctx context.Context, env *environment) error {
		env.progress = &progress
		return use(ctx, env)
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	if left, _ := os.ReadDir(opt.dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestHaltEndsEverything(t *testing.T) {
	inEnvironment(t, func(ctx context.Context, env *environment) error {
		r, err := newRig(env, 1)
		if err != nil {
			return err
		}
		child, err := r.start("sleep", exec.Command("sleep", "600"))
		if err != nil {
			return err
		}
		looped := false
		r.background(ctx, func(ctx context.Context) { <-ctx.Done(); looped = true })
		r.close()
		select {
		case <-child.Done():
		default:
			t.Error("the process lives on")
		}
		if !looped {
			t.Error("the loop was not waited for")
		}
		return nil
	})
}

func TestAwaitShowsWhyItEnded(t *testing.T) {
	inEnvironment(t, func(ctx context.Context, env *environment) error {
		r, err := newRig(env, 0)
		if err != nil {
			return err
		}
		defer r.close()
		child, err := r.start("ls", exec.Command("ls", "/nothing/there"))
		if err != nil {
			return err
		}
		err = r.await(ctx, "ls", child, func() bool { return false })
		if err == nil || !strings.Contains(err.Error(), "/nothing/there") {
			t.Errorf("got %v", err)
		}
		return nil
	})
}

// Rsync by hand replicates and is measured, with and without open connections,
// against real daemons.
func TestFloor(t *testing.T) {
	inEnvironment(t, func(ctx context.Context, env *environment) error {
		for _, k := range kinds()[:2] {
			got, _, err := onRig(ctx, env, latencyRow(), k)
			if err != nil {
				return err
			}
			if len(got["latency"]) != env.opt.reps {
				t.Errorf("%s: got %v", k.name, got)
			}
		}
		rename := row{
			name: "rename",
			fill: func(ctx context.Context, r *rig) error { return fillFiles(ctx, r, "before", 3, 30) },
			measure: timed("rename", func(_ context.Context, r *rig) error {
				return os.Rename(r.at("before"), r.at("after"))
			}, "before"),
		}
		got, _, err := onRig(ctx, env, rename, kinds()[0])
		if err != nil || len(got["rename"]) != 1 {
			t.Errorf("got %v, %v", got, err)
		}
		return nil
	})
}

// A side that does nothing is found out.
func TestNeverEqual(t *testing.T) {
	inEnvironment(t, func(ctx context.Context, env *environment) error {
		write := row{
			name: "write", bound: 50 * time.Millisecond, cold: true,
			measure: timed("write", func(_ context.Context, r *rig) error { return os.WriteFile(r.at("f"), nil, 0o644) }),
		}
		_, _, err := onRig(ctx, env, write, kind{name: "lazy", make: func() side { return lazy{} }})
		if !errors.Is(err, errNever) {
			t.Errorf("got %v", err)
		}
		return nil
	})
}

type lazy struct{}

func (lazy) prepare(context.Context, *rig) error { return nil }
func (lazy) launch(context.Context, *rig) error  { return nil }

func TestLsyncdConf(t *testing.T) {
	r := &rig{
		env: &environment{}, source: "/s", pass: "/p",
		slaves: []slave{{host: "127.0.0.1", port: "1"}, {host: "127.0.0.2", port: "2"}},
	}
	got := lsyncdConf(r)
	if strings.Count(got, "delay = 0") != 2 || !strings.Contains(got, `target = "rsync://repl@127.0.0.2:2/bench/"`) || strings.Contains(got, "NODELAY") {
		t.Errorf("got %s", got)
	}
	r.env.opt.tuned = true
	if got := lsyncdConf(r); strings.Count(got, "--sockopts=TCP_NODELAY") != 2 {
		t.Errorf("got %s", got)
	}
}

func TestDaemonConf(t *testing.T) {
	s := slave{tree: "/t", dir: "/d"}
	if plain, tuned := daemonConf(s, "/x", false), daemonConf(s, "/x", true); strings.Contains(plain, "NODELAY") || !strings.Contains(tuned, "socket options = TCP_NODELAY\n") {
		t.Errorf("got %s and %s", plain, tuned)
	}
}

func TestDrain(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if _, err := write.WriteString(strings.Repeat("MODIFY\n", 10_000)[:60_000]); err != nil {
		t.Fatal(err)
	}
	if !drain(read) {
		t.Error("the end came early")
	}
	write.Close()
	if drain(read) {
		t.Error("something was left, or the end was not noticed")
	}
}

func TestMakeDirsTwiceTheSame(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	const n = 250
	if err := errors.Join(makeDirs(a, n), makeDirs(b, n)); err != nil {
		t.Fatal(err)
	}
	if err := compareAll(a, []string{b}); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{"d00", "d00/d00", "d00/d02", leaf(0), leaf(n - 1)} {
		info, err := os.Stat(filepath.Join(a, dir))
		if err != nil || !info.ModTime().Equal(epoch()) {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
}
