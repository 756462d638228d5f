package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"syncagent/agent/root"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// pass leads the missing entries through the delete gate. Those that may go
// are added to what is sent, the others are held.
func (r *Replica) pass(ctx context.Context, v *view, w *work) error {
	cands := r.unheld(w)
	if len(cands) == 0 {
		return nil
	}
	if n, ok := r.countable(cands); ok {
		for _, e := range cands {
			w.send.Gone = append(w.send.Gone, e.Path)
		}
		w.send.MaxDelete = r.backstop(n)
		return nil
	}
	return r.inspect(ctx, v, w, cands)
}

// unheld drops what is held already, and what a sweep is to hold.
func (r *Replica) unheld(w *work) []root.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []root.Entry
	for _, e := range w.gone {
		switch {
		case r.gate.holds(e.Path):
		case r.older(e.Path, w.since):
			r.missed()
		default:
			list = append(list, e)
		}
	}
	return list
}

// countable returns how many entries go with the candidates, if that is known
// without asking the slave and below the brake: each was seen going, no rule
// protects anything there, nothing held goes along, and none was refused before.
// Where there is no brake nobody counts, so it need not be known.
func (r *Replica) countable(cands []root.Entry) (n int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	paths := map[tree.Path]bool{}
	for _, e := range cands {
		if e.Unseen && !r.gate.guard.Off || r.retries[e.Path] != nil || r.module.Rules.MayExcludeBelow(e.Path) {
			return 0, false
		}
		paths[e.Path] = true
		n += e.Marks
	}
	return n, !r.gate.holdsBelow(paths) && r.gate.fits(n+len(r.surplus), r.sweeps.entries, time.Now())
}

func (r *Replica) backstop(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gate.backstop(n, r.sweeps.entries, time.Now())
}

// inspect asks the slave what exactly would go, spares what the rules exclude,
// and lets the brake decide on the rest.
func (r *Replica) inspect(ctx context.Context, v *view, w *work, cands []root.Entry) error {
	paths := make([]tree.Path, len(cands))
	for i, e := range cands {
		paths[i] = e.Path
	}
	victims, err := r.slave.Victims(ctx, v.Dir(), paths)
	if err != nil {
		return w.unasked(cands, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.connections++
	r.passedBy(absent(cands, victims), w.since)
	go_, n := r.judge(spare(victims, r.module.Rules), false, w.since)
	w.send.Gone = append(w.send.Gone, go_...)
	w.send.Flat = n == len(go_)
	if len(go_) > 0 {
		w.send.MaxDelete = r.gate.backstop(n, r.sweeps.entries, time.Now())
	}
	return nil
}

// absent returns the candidates of which the slave has nothing.
func absent(cands []root.Entry, victims []rsync.Extra) (none []root.Entry) {
	has := make(map[tree.Path]bool, len(victims))
	for _, v := range victims {
		has[v.Path] = true
	}
	for _, e := range cands {
		if !has[e.Path] {
			none = append(none, e)
		}
	}
	return none
}

// unasked fails the candidates alone when the slave cannot tell what would go
// with them; everything else does not wait for them.
func (w *work) unasked(cands []root.Entry, err error) error {
	var e *rsync.Error
	if !errors.As(err, &e) || !pathsOnly(e.Class) && e.Class != rsync.Incompatible {
		return err
	}
	for _, c := range cands {
		w.failed = append(w.failed, rsync.Failure{Path: c.Path, What: c.What, Class: e.Class, Text: e.Error()})
	}
	return nil
}

// judge applies the brake to exactly known victims, dirty since some time: all of them
// may go, or those that were approved. What is held as the slave's own does not go by
// its number, nor does anything strange. Needs the lock.
func (r *Replica) judge(victims []rsync.Extra, strange bool, since time.Time) (allowed []tree.Path, n int) {
	now := time.Now()
	tops, open := topmost(victims)
	allowed, n = r.gate.permit(tops, open, now)
	own, owns := maps.Clone(open), r.gate.owner()
	maps.DeleteFunc(own, func(p tree.Path, _ int) bool { return !strange && !owns(p) })
	if len(own) > 0 {
		r.gate.holdOwn(own, "on the slave before its first sync", r.failingSince(own, since))
		maps.DeleteFunc(open, func(p tree.Path, _ int) bool { return own[p] > 0 })
		tops = slices.DeleteFunc(tops, func(p tree.Path) bool { return own[p] > 0 })
	}
	rest := 0
	for _, m := range open {
		rest += m
	}
	// what is still to be looked at belongs to the same removal
	if rest == 0 || r.gate.fits(rest+len(r.surplus), r.sweeps.entries, now) {
		return tops, n + rest
	}
	r.gate.brake(open, rest, r.sweeps.entries, r.failingSince(open, since), now)
	r.log.Warn("deletes are held, look at them with \"agent approve --dry-run\"", "entries", rest, "reason", r.gate.reason)
	return allowed, n
}

// failingSince is since when any of the paths, dirty since some time, has failed: what is
// held fails no more. Needs the lock.
func (r *Replica) failingSince(paths map[tree.Path]int, since time.Time) time.Time {
	for p, t := range r.retries {
		if covered(paths, p) {
			since = earliest(since, t.since)
		}
	}
	return since
}
