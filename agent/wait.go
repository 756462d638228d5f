package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
	"syncagent/agent/watch"
)

// flushAgain is how soon the watcher is asked again after it could not answer.
const flushAgain = 50 * time.Millisecond

// Wait returns when everything that changed before the call stands on the targets
// in scope, and tells what it waits for meanwhile. It is a barrier: first every
// change so far is led through the watcher, then each target is asked whether
// anything marked until then is unconfirmed. Deletes that are held keep it
// waiting, whenever they were made.
func (m *Master) Wait(ctx context.Context, scope status.Scope, tell func(status.WaitUpdate)) error {
	var mu sync.Mutex
	serial := func(u status.WaitUpdate) {
		mu.Lock()
		defer mu.Unlock()
		tell(u)
	}
	var wg sync.WaitGroup
	for _, s := range m.list() {
		var replicas []*Replica
		for _, r := range s.Replicas() {
			if scope.Holds(s.module.Name, r.target.Name) {
				replicas = append(replicas, r)
			}
		}
		if len(replicas) > 0 {
			wg.Go(func() { s.wait(ctx, replicas, serial) })
		}
	}
	wg.Wait()
	return ctx.Err()
}

// wait is Wait for the given replicas of the module.
func (s *Source) wait(ctx context.Context, replicas []*Replica, tell func(status.WaitUpdate)) {
	at, ok := s.flush(ctx, func(why string) {
		for _, r := range replicas {
			u := r.waitState(time.Now())
			u.Done, u.Waiting = false, why
			tell(u)
		}
	})
	if !ok {
		return
	}
	if !s.events.all { // what is not noticed is found by a sweep
		for _, r := range replicas {
			r.Mark(tree.Root, tree.Deep, false)
		}
		at = time.Now()
	}
	var wg sync.WaitGroup
	for _, r := range replicas {
		wg.Go(func() { r.await(ctx, at, tell) })
	}
	wg.Wait()
}

// flush returns a moment until which every change that was made before the call is
// marked. It tells why that takes long.
func (s *Source) flush(ctx context.Context, tell func(why string)) (at time.Time, ok bool) {
	var begun time.Time
	for ctx.Err() == nil {
		why := s.Blocked()
		if w := s.watches(); w != nil && why == "" {
			growing, err := w.Flush(ctx)
			now := time.Now()
			if err == nil && begun.IsZero() {
				begun = now
			}
			if err == nil && s.watches() == w {
				if growing.IsZero() || growing.After(begun) {
					return now, true
				}
				why = beingWritten(w)
			}
		}
		if why == "" {
			why = "the watcher is starting"
		}
		tell(why)
		select {
		case <-ctx.Done():
		case <-time.After(flushAgain):
		}
	}
	return time.Time{}, false
}

func beingWritten(w *watch.Watcher) string {
	files := w.Growing(tree.Root)
	if len(files) == 0 {
		return "a file is being written"
	}
	return fmt.Sprintf("%d files are being written, one is %q", len(files), string(files[0]))
}

// watches returns the watcher while it watches the whole tree, else nil.
func (s *Source) watches() *watch.Watcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.watching {
		return nil
	}
	return s.watcher
}

// await returns when nothing that was marked until a moment is unconfirmed. What
// rests, or pauses since it changed while it was sent, is sent for it once.
func (r *Replica) await(ctx context.Context, at time.Time, tell func(status.WaitUpdate)) {
	var u status.WaitUpdate
	r.hurryMoved(at)
	gone := r.follow(ctx, func() bool {
		r.hurryResting(at)
		u = r.waitState(at)
		tell(u)
		return u.Done
	})
	if gone {
		u.Waiting = targetGone
		tell(u)
	}
}

// hurryMoved tries what changed while it was sent at once.
func (r *Replica) hurryMoved(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, t := range r.retries {
		if t.class == rsync.Transient && !t.next.IsZero() && !t.since.After(at) {
			t.next = time.Time{}
			r.mark(p, t.mark.What)
		}
	}
	poke(r.wake)
}

// hurryResting hands out what rests. A file may come to rest while somebody waits for
// it, so this is done again at each change.
func (r *Replica) hurryResting(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hot.held > 0 {
		r.rested(time.Now(), at)
		poke(r.wake)
	}
}

// waitState tells what keeps the target from having all that was marked until at.
func (r *Replica) waitState(at time.Time) status.WaitUpdate {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	u := status.WaitUpdate{
		Module: r.module.Name, Target: r.target.Name, State: r.state(now),
		Pending: r.pending(), Failing: r.failingCount(), Held: r.gate.count(),
	}
	oldest := r.oldest()
	late := !oldest.IsZero() && !oldest.After(at)
	u.Done = !late && u.Held == 0
	_, still := r.still(now)
	switch {
	case u.Done:
	case still:
		u.Waiting = "the target is paused: \"agent resume\" lets it go on"
	case r.outage.err != nil:
		u.Waiting = r.outage.err.Error()
	case !late:
		u.Waiting = fmt.Sprintf("%d deletes are held: look at them with \"agent approve --dry-run\"", u.Held)
	default:
		u.Waiting = r.lateWhy(at)
	}
	return u
}

// lateWhy names what was marked until at and is not confirmed. Needs the lock.
func (r *Replica) lateWhy(at time.Time) string {
	for p, t := range r.retries {
		if !t.since.After(at) && t.class != rsync.Transient {
			return fmt.Sprintf("%q is not taken: %s", string(p), t.text)
		}
	}
	if since := r.sweeps.oldest(); !since.IsZero() && !since.After(at) {
		return "changes that were not seen have to be found by a sweep"
	}
	if n := r.pending(); n != 1 {
		return fmt.Sprintf("%d changes are not confirmed", n)
	}
	return "1 change is not confirmed"
}
