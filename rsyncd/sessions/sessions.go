package sessions

import (
	"context"
	"errors"
	"log/slog"
	"syscall"
	"time"

	"syncagent/agent/proc"
)

const (
	// grace is what a session gets to remove its temporary file.
	grace = time.Second
	// endWait bounds the wait for killed processes: one that waits for a disk
	// dies only when that answers.
	endWait = 3 * time.Second
	poll    = 10 * time.Millisecond
)

// Watch ends the sessions of a daemon whose client is gone.
type Watch struct {
	Daemon func() int // its process id, 0 while there is none
	Conf   string     // its configuration, which it opens for each connection
	Every  time.Duration
	Log    *slog.Logger

	suspects map[proc.Member]string // with the socket that is dead
}

// Run looks until ctx ends: regularly while there are sessions, and not at all while
// there are none.
func (w *Watch) Run(ctx context.Context) error {
	timer := time.NewTimer(w.Every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		w.lookOrRest(ctx)
		timer.Reset(w.Every)
	}
}

// lookOrRest looks once. If there is nothing to see it waits until there may be.
func (w *Watch) lookOrRest(ctx context.Context) {
	opens, err := watchOpens(w.Conf) // before the look, so that no session comes between
	if err == nil {
		defer opens.Close()
	}
	some, looked := w.look()
	if err := errors.Join(err, looked); err != nil {
		w.Log.Debug("sessions cannot be looked at, or not be waited for", "error", err)
	}
	if err == nil && !some {
		rest(ctx, opens)
	}
}

// look kills what was dead at the last look and still is, and reports whether there
// is any session.
func (w *Watch) look() (some bool, err error) {
	daemon := w.Daemon()
	list := members(daemon)
	if len(list) == 0 {
		w.suspects = nil
		return false, nil
	}
	t, err := readTable()
	if err != nil {
		return true, err
	}
	ports := t.ports(daemon)
	dead := map[proc.Member]string{}
	for _, m := range list {
		inode := t.deadEnd(m.PID, ports)
		if inode == "" {
			continue
		}
		if dead[m] = inode; w.suspects[m] != inode {
			continue
		}
		w.Log.Warn("ending what is left of a session whose master is gone", "pid", m.PID, "peer", t.tcp[inode].peer)
		_ = m.Signal(syscall.SIGKILL) // it has ended by itself then
	}
	w.suspects = dead
	return true, nil
}

// members are all processes of the daemon's group but itself.
func members(daemon int) []proc.Member {
	if daemon == 0 {
		return nil
	}
	return proc.Members(daemon)
}

// End ends every session of a daemon and returns how many processes it ended. The
// daemon itself goes on.
func End(ctx context.Context, daemon int) int {
	list := members(daemon)
	for _, m := range list {
		_ = m.Signal(syscall.SIGTERM) // one that has ended is what is wanted
	}
	await(ctx, list, grace)
	for _, m := range list {
		_ = m.Signal(syscall.SIGKILL)
	}
	await(ctx, list, endWait)
	return len(list)
}

func await(ctx context.Context, list []proc.Member, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for _, m := range list {
		for m.Alive() {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}
}
