package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// inotify is the loop around inotifywait: what happens is not looked at, any
// event sends the whole tree.
type inotify struct{}

func (i *inotify) prepare(ctx context.Context, r *rig) error {
	return plainDaemons(ctx, r, r.env.opt.tuned)
}

// launch starts inotifywait and the loop, which ends with it.
func (i *inotify) launch(ctx context.Context, r *rig) error {
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	defer write.Close()
	cmd := exec.Command("inotifywait", "-m", "-r", "--format", "%e",
		"-e", "modify,attrib,close_write,move,create,delete", r.source)
	cmd.Stdout = write
	child, err := r.start("inotifywait", cmd)
	if err != nil {
		read.Close()
		return err
	}
	r.master = child
	r.background(ctx, func(ctx context.Context) { i.loop(ctx, r, read) })
	return nil
}

// loop sends once as soon as the watches stand, then after each event. Events
// that came while it was sending are one.
func (i *inotify) loop(ctx context.Context, r *rig, events *os.File) {
	defer events.Close()
	opts := []string{"-a", "--delete"}
	if r.env.opt.tuned {
		opts = append(opts, "--sockopts=TCP_NODELAY")
	}
	established := func() bool { return r.said("inotifywait", "Watches established") }
	if r.await(ctx, "inotifywait", r.master, established) != nil {
		return
	}
	for {
		// What a run complains about, files that vanished, the next one sees to.
		_ = pushWhole(ctx, r, opts)
		if !drain(events) {
			return
		}
	}
}

// drain blocks until something can be read, then takes all there is. It
// reports false at the end.
func drain(f *os.File) bool {
	buf := make([]byte, 64<<10)
	if n, err := f.Read(buf); n == 0 || err != nil {
		return false
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Read(func(fd uintptr) bool {
		for {
			if n, err := syscall.Read(int(fd), buf); n <= 0 || err != nil {
				return true
			}
		}
	})
	return err == nil
}
