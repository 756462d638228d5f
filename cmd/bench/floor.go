package main

import (
	"context"
	"io"
	"os/exec"
	"strings"

	"golang.org/x/sync/errgroup"

	"syncagent/agent/proc"
)

// byHand are the options of the floor. The comparison of times to the
// nanosecond costs nothing and keeps it right.
func byHand() []string {
	return []string{"-a", "--delete", "--modify-window=-1", "--sockopts=TCP_NODELAY"}
}

// floor runs rsync when it is told to.
type floor struct{}

func (f *floor) prepare(ctx context.Context, r *rig) error { return plainDaemons(ctx, r, true) }

func (f *floor) launch(context.Context, *rig) error { return nil }

func (f *floor) push(ctx context.Context, r *rig, _ string) error { return pushWhole(ctx, r, byHand()) }

// pushWhole runs rsync of the whole tree to all slaves at once.
func pushWhole(ctx context.Context, r *rig, opts []string) error {
	var g errgroup.Group
	for _, s := range r.slaves {
		g.Go(func() error { return r.run(ctx, rsyncTo(r, s, opts...)) })
	}
	return g.Wait()
}

// openFloor keeps a connection to each slave that waits for its list.
type openFloor struct {
	floor
	lists []io.WriteCloser
	runs  []*proc.Child
}

// warm connects; rsync logs in and forks before it reads its list.
func (f *openFloor) warm(r *rig) error {
	for _, s := range r.slaves {
		cmd := rsyncTo(r, s, "-a", "-I", "--modify-window=-1", "--sockopts=TCP_NODELAY", "--files-from=-", "--from0")
		list, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		child, err := f.open(r, cmd)
		if err != nil {
			return err
		}
		f.lists, f.runs = append(f.lists, list), append(f.runs, child)
	}
	return nil
}

func (f *openFloor) open(r *rig, cmd *exec.Cmd) (*proc.Child, error) {
	child, err := r.env.spawner.Start(cmd)
	if err == nil {
		r.children = append(r.children, child)
	}
	return child, err
}

// push hands the list over, or sends everything where there is no name.
func (f *openFloor) push(ctx context.Context, r *rig, rel string) error {
	if rel == "" {
		return f.floor.push(ctx, r, rel)
	}
	for _, list := range f.lists {
		if _, err := io.Copy(list, strings.NewReader("/"+rel+"\x00")); err != nil {
			return err
		}
		if err := list.Close(); err != nil {
			return err
		}
	}
	for _, run := range f.runs {
		if err := run.Wait(); err != nil {
			return err
		}
	}
	f.lists, f.runs = nil, nil
	return nil
}
