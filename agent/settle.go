package agent

import (
	"context"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/tree"
)

// burstSettle is how long the set must be quiet before a burst of deletes
// leaves: the brake can only judge a removal that it sees whole.
const (
	burstSettle  = 100 * time.Millisecond
	burstDeletes = 8
)

// A burst leaves at a lull in proportion to what it has grown to, a fraction of
// what sending it costs: a tree that is still being copied goes once and whole,
// instead of in pieces that have to be walked again.
const (
	lullPerMark = 100 * time.Microsecond
	longestLull = 100 * time.Millisecond
)

// settling is what decides when a burst has settled.
type settling struct {
	first, last time.Time // of the marks in the set; zero when it is empty
	events      int       // that made them
	gone        int       // of them, seen going
}

// leaves returns when the burst may leave.
func (m *settling) leaves(s config.Settle) time.Time {
	quiet := max(s.Quiet.Std(), min(time.Duration(m.events)*lullPerMark, longestLull))
	if m.gone > burstDeletes {
		quiet = max(quiet, burstSettle)
	}
	end := m.last.Add(quiet)
	if limit := m.first.Add(s.Max.Std()); limit.Before(end) {
		return limit
	}
	return end
}

func (r *Replica) live(ctx context.Context) error {
	for r.settle(ctx, r.lane) {
		r.step(ctx, r.lane)
	}
	return nil
}

// settle blocks until the lane has a batch to send. It reports false when ctx
// has ended.
func (r *Replica) settle(ctx context.Context, l *lane) bool {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait, some, burst := r.due(l, time.Now())
		if some && wait <= 0 {
			return ctx.Err() == nil
		}
		var ring <-chan time.Time
		wake := l.wake
		if some {
			timer.Reset(wait)
			ring = timer.C
		}
		if burst && wait <= longestLull {
			wake = nil // another mark only makes it later, which is not worth a look at each
		}
		select {
		case <-ctx.Done():
			return false
		case <-wake:
		case <-ring:
		}
	}
}

// due tells how long to wait until the lane has something to do. some is false
// when only a mark can tell; burst is true when more marks may join those that
// wait.
func (r *Replica) due(l *lane, now time.Time) (wait time.Duration, some, burst bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if wait, still := r.still(now); still {
		return wait, wait > 0, false
	}
	var next time.Time
	if l == r.bulk {
		next = r.bulkDue()
	} else {
		next, burst = r.liveDue(now)
	}
	if !next.IsZero() && next.Before(r.outage.notBefore) {
		next = r.outage.notBefore
	}
	return next.Sub(now), !next.IsZero(), burst
}

// liveDue returns when the live lane has something to do. Needs the lock.
func (r *Replica) liveDue(now time.Time) (next time.Time, burst bool) {
	next = earliest(r.recall(now), r.rested(now, time.Time{}))
	if r.set.Len()+len(r.surplus) > 0 {
		return r.marks.leaves(r.module.Settle), true
	}
	return next, false
}

// recall puts the retries that are due back into the set and returns when the
// next one is. Needs the lock.
func (r *Replica) recall(now time.Time) time.Time {
	next := r.resend(now)
	for p, t := range r.retries {
		switch {
		case t.next.IsZero():
		case !t.next.After(now):
			t.next = time.Time{}
			r.mark(p, t.mark.What)
		case next.IsZero() || t.next.Before(next):
			next = t.next
		}
	}
	return next
}

// take empties the lane's set into a batch; to the live lane's comes a portion of
// what is surplus.
func (r *Replica) take(l *lane) (b tree.Batch, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b = l.set.Take()
	since, rest := l.marks.first, false
	if l == r.lane {
		b, rest = r.takeSurplus(b)
		r.gate.exempt = 0
	}
	at = time.Now()
	l.flight = flight{marks: len(b), since: since, taken: at, batch: b}
	r.pushes++
	if !rest {
		l.marks = settling{}
	}
	return b, at
}

// takeSurplus adds a portion of what is surplus, and reports whether there is
// more. Needs the lock.
func (r *Replica) takeSurplus(b tree.Batch) (tree.Batch, bool) {
	for p := range r.surplus {
		if len(b) >= surplusPortion {
			break
		}
		b = append(b, tree.Mark{Path: p, What: tree.Attrs | tree.Content | tree.Deep})
		delete(r.surplus, p)
	}
	return b, len(r.surplus) > 0
}
