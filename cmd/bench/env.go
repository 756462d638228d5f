package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"syncagent/agent/proc"
)

// environment is what all measurements share.
type environment struct {
	opt      options
	dir      string // scratch, removed at the end
	spawner  *proc.Spawner
	password string
	out      io.Writer // the table
	progress io.Writer

	machine machine
}

// withEnvironment calls use with a scratch directory and a spawner, and ends
// and removes all that was made.
func withEnvironment(ctx context.Context, opt options, use func(context.Context, *environment) error) error {
	dir, err := os.MkdirTemp(scratch(opt.dir), "syncagent-bench-")
	if err != nil {
		return fmt.Errorf("make scratch directory: %w: give another one with -dir", err)
	}
	defer os.RemoveAll(dir)
	// The slaves' daemons may run as somebody else.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	env := &environment{
		opt: opt, dir: dir, spawner: proc.NewSpawner(""), password: rand.Text(),
		out: os.Stdout, progress: os.Stderr,
	}
	return env.spawner.While(ctx, func() error { return use(ctx, env) })
}

// keepAgent measures the same program throughout, even if it is built anew
// meanwhile.
func (e *environment) keepAgent(ctx context.Context) error {
	mine := filepath.Join(e.dir, "agent")
	if err := e.copyTree(ctx, e.opt.agent, mine, "-p"); err != nil {
		return fmt.Errorf("%w: build it with \"make build\"", err)
	}
	e.opt.agent = mine
	return nil
}

// scratch prefers memory: a disk would be what is measured.
func scratch(dir string) string {
	if dir != "" {
		return dir
	}
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return os.TempDir()
}

// say tells how far it is.
func (e *environment) say(format string, args ...any) { fmt.Fprintf(e.progress, format+"\n", args...) }

// goTree copies the Go installation's src into memory once and returns where it
// is.
func (e *environment) goTree(ctx context.Context) (string, error) {
	tree := filepath.Join(e.dir, "input-tree")
	if there(tree) {
		return tree, nil
	}
	from := e.opt.tree
	if from == "" {
		out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err != nil {
			return "", fmt.Errorf("find the Go installation: %w: give another tree with -tree", err)
		}
		from = filepath.Join(strings.TrimSpace(string(out)), "src")
	}
	return tree, e.copyTree(ctx, from, tree)
}

// copyTree is cp: what a person would do, with times of now.
func (e *environment) copyTree(ctx context.Context, from, to string, opts ...string) error {
	child, err := e.spawner.Start(exec.Command("cp", append(append([]string{"-R"}, opts...), from, to)...))
	if err != nil {
		return err
	}
	select {
	case <-child.Done():
	case <-ctx.Done():
		_ = child.Stop(0)
		return ctx.Err()
	}
	if err := child.Wait(); err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return nil
}
