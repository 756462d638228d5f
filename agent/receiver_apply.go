package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"syncagent/agent/config"
	"syncagent/agent/proc"
	"syncagent/agent/provision"
	"syncagent/agent/rsync"
	"syncagent/rsyncd/sessions"
	"syncagent/rsyncd/supervise"
)

// pace is how often a receiver looks after what.
type pace struct {
	roots    time.Duration // module directories, at most
	sessions time.Duration // sessions whose master is gone, while there is any
	alive    time.Duration // whether the daemon still greets, after it did not
	patience time.Duration // for a greeting
	rest     time.Duration // module directories and the daemon, when nothing happens
}

func usualPace() pace {
	return pace{
		roots: 2 * time.Second, sessions: 500 * time.Millisecond, alive: 10 * time.Second, patience: 10 * time.Second,
		rest: time.Minute,
	}
}

// apply brings rsyncd.conf, the directories and the rest to the wanted state. A
// module whose directory is missing or another one is left out, and its directory
// is not made. Sessions that began before a change end: they would go on with the
// old path, the old password and the old addresses.
func (r *Receiver) apply(ctx context.Context, c *config.Receiver) error {
	if err := secretThere(r.want, c); err != nil {
		return err
	}
	r.custody.look(c)
	report, err := r.converge(ctx, c)
	for _, ch := range report.Changes {
		r.log.Info("changed", "kind", ch.Kind, "path", ch.Path, "action", ch.Action)
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(report.Changes, func(ch provision.Change) bool { return ch.Kind == provision.KindDirectory }) {
		r.custody.look(c) // what was made is known from now on
	}
	if err := replaceFile(stateFile(c, "motd"), r.custody.notice(r.want.Root, c).Render(), 0o644); err != nil {
		return err
	}
	if len(report.Changes) > 0 {
		r.endSessions(ctx, "the configuration changed")
	}
	return nil
}

func (r *Receiver) converge(ctx context.Context, c *config.Receiver) (provision.Report, error) {
	w := r.want
	w.Out = r.custody.outOfService()
	want, err := DesiredSlave(ctx, w, c)
	if err != nil {
		return provision.Report{}, err
	}
	absent := map[string]bool{}
	for _, m := range c.Modules {
		absent[m.Path] = w.Out[m.Name] != ""
	}
	want.Dirs = slices.DeleteFunc(want.Dirs, func(d provision.Dir) bool { return absent[d.Path] })
	report := provision.Converge(ctx, provision.NewSystem(), want, provision.Options{Service: "none"})
	if report.Error != nil {
		return report, fmt.Errorf("apply configuration: %s: %s", report.Error.Message, r.remedy(report.Error))
	}
	return report, nil
}

// unmakeable tells why a missing directory cannot be made here, "" if it can.
func unmakeable(path string) string {
	parent := parentThere(path)
	if unix.Access(parent, unix.W_OK) == nil {
		return ""
	}
	return fmt.Sprintf("directory %s is missing: mount it, or run \"agent init slave\"", path)
}

// endSessions ends every session of the running daemon.
func (r *Receiver) endSessions(ctx context.Context, why string) {
	pid := r.Status().PID
	if pid == 0 {
		return
	}
	if n := sessions.End(ctx, pid); n > 0 {
		r.log.Info("sessions were ended", "processes", n, "reason", why)
	}
}

func (r *Receiver) supervise(ctx context.Context, spawner *proc.Spawner) error {
	daemon := supervise.New(supervise.Config{
		Name: "rsync daemon", Command: r.command, Spawner: spawner, Ready: r.check,
		Alive: r.greets, AliveEvery: r.pace.rest, AliveAgain: r.pace.alive, AliveTimeout: r.pace.patience,
		LogFile: stateFile(r.config, "log"), Log: r.log,
		OnState: func(s supervise.State) {
			if s == supervise.Running {
				r.once.Do(func() { close(r.ready) })
			}
		},
	})
	r.mu.Lock()
	r.daemon = daemon
	r.mu.Unlock()
	dead := sessions.Watch{Daemon: func() int { return r.Status().PID }, Conf: r.config.ConfFile, Every: r.pace.sessions, Log: r.log}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return daemon.Run(ctx) })
	g.Go(func() error { return r.rotate(ctx) })
	g.Go(func() error { return dead.Run(ctx) })
	g.Go(func() error { return r.prune(ctx) })
	g.Go(func() error { return r.custody.attend(ctx, r.pace, r.current, r.reapply) })
	if managed() {
		g.Go(func() error { return r.replaced(ctx) })
	}
	return g.Wait()
}

// greets asks the running daemon for its greeting: one that hangs still has its
// port taken by the kernel.
func (r *Receiver) greets(ctx context.Context) error {
	host, port := endpoint(r.current())
	_, err := rsync.Probe(ctx, rsync.Dest{Host: host, Port: port})
	return err
}

// reapply follows a change of the module directories.
func (r *Receiver) reapply(ctx context.Context) {
	r.applying.Lock()
	defer r.applying.Unlock()
	if err := r.apply(ctx, r.current()); err != nil && !errors.Is(err, context.Canceled) {
		r.log.Warn("change of the module directories cannot be followed", "error", err)
	}
}

// Reload follows another configuration. Modules, users and addresses of
// masters count from the next connection on; another port or address needs the
// daemon to be restarted.
func (r *Receiver) Reload(ctx context.Context, next *config.Receiver) error {
	r.applying.Lock()
	defer r.applying.Unlock()
	old := r.current()
	if next.StateDir != old.StateDir || next.ConfFile != old.ConfFile {
		return fmt.Errorf("reload configuration: state_dir and conf_file cannot change while running: restart the receiver")
	}
	if err := r.apply(ctx, next); err != nil {
		return err
	}
	r.mu.Lock()
	r.config = next
	daemon := r.daemon
	r.mu.Unlock()
	if next.Port != old.Port || next.Address != old.Address {
		r.log.Info("restarting the rsync daemon", "listen", endpointName(next))
		daemon.Restart()
	}
	return nil
}

// parentThere is the nearest directory above path that exists.
func parentThere(path string) string {
	for path != "/" {
		path = filepath.Dir(path)
		if _, err := os.Stat(path); err == nil {
			break
		}
	}
	return path
}
