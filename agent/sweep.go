package agent

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"syncagent/agent/filter"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// sweepState is what a replica knows of its sweeps.
type sweepState struct {
	wanted    bool      // one is asked for and not done
	scheduled bool      // ... by the schedule alone
	asked     bool      // ... by the user, who waits for it
	after     time.Time // the wanted one does not begin before, see stagger
	narrow    bool      // the running one leaves out what sweep.filter excludes
	missed    time.Time // since when the wanted one has to find changes; zero when none is known to be missed
	finding   time.Time // the same of the running one
	checksum  bool      // ... and it shall read every byte
	running   bool
	partial   bool        // the last one could not look at everything
	complete  bool        // one was done since the start, or none is asked at the start
	firstDone bool        // what was on the slave before us has been dealt with
	entries   int64       // of the module, as far as known
	done      int64       // sweeps finished
	drift     drift       // the last that one found
	began     time.Time   // when the last complete one did
	copied    []tree.Path // subtrees that were sent beside the running one
	beside    int64       // pushes begun when the running one began, less one if one was under way
}

// RequestSweep asks for a comparison of the whole module, with every byte read
// if checksum is set. Asking again while one waits changes nothing.
func (r *Replica) RequestSweep(checksum bool) {
	r.mu.Lock()
	r.noteEqual()
	r.sweeps.wanted, r.sweeps.scheduled, r.sweeps.asked = true, false, true
	r.sweeps.checksum = r.sweeps.checksum || checksum
	r.mu.Unlock()
	poke(r.sweepUp)
}

// oldest is since when changes may not be marked; zero when all are.
func (s *sweepState) oldest() time.Time {
	if !s.finding.IsZero() {
		return s.finding
	}
	return s.missed
}

// missed says that changes were not seen, so that a sweep has to find them.
// Needs the lock.
func (r *Replica) missed() {
	r.noteEqual()
	if r.sweeps.missed.IsZero() {
		r.sweeps.missed = time.Now()
	}
	r.sweeps.wanted, r.sweeps.scheduled = true, false
	poke(r.sweepUp)
	poke(r.saveUp)
}

// sweeper compares when asked. It only marks, so it runs beside the live loop.
func (r *Replica) sweeper(ctx context.Context) error {
	for ctx.Err() == nil {
		wait, some := r.sweepDue(time.Now())
		if some && wait <= 0 {
			r.sweep(ctx)
			continue
		}
		var ring <-chan time.Time
		if some {
			ring = time.After(wait)
		}
		select {
		case <-ctx.Done():
		case <-r.sweepUp:
		case <-ring:
		}
	}
	return nil
}

// sweepDue tells how long a wanted sweep has to wait for the target.
func (r *Replica) sweepDue(now time.Time) (wait time.Duration, some bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if wait, still := r.still(now); still {
		return wait, wait > 0
	}
	if !r.sweeps.wanted {
		if r.linksAt.IsZero() {
			return 0, false
		}
		return latest(r.linksAt, r.sweeps.after).Sub(now), true
	}
	return max(0, r.sweepAt().Sub(now)), true
}

// sweep compares once. If it cannot, it stays wanted and the target pauses.
func (r *Replica) sweep(ctx context.Context) {
	release, ok := r.sweepPlace(ctx)
	if !ok {
		return
	}
	defer release()
	if wait, some := r.sweepDue(time.Now()); !some || wait > 0 {
		return // paused while it waited for its place
	}
	checksum := r.sweepStart()
	diff, err := r.compare(ctx, checksum, r.sweepRules(), &r.seen)
	if err == nil {
		r.counted(int64(diff.Entries))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweeps.running = false
	if err != nil {
		r.sweeps.scheduled = r.sweeps.narrow && (r.sweeps.scheduled || !r.sweeps.wanted)
		r.sweeps.wanted, r.sweeps.checksum = true, r.sweeps.checksum || checksum
		r.sweeps.missed, r.sweeps.finding = r.sweeps.oldest(), time.Time{}
		r.pause(err)
		return
	}
	if r.sweeps.narrow {
		r.learnNarrow(diff)
	} else {
		r.learn(diff)
	}
	poke(r.saveUp)
	r.tellChange()
}

func (r *Replica) sweepStart() (checksum bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	checksum = r.sweeps.checksum
	r.sweeps.narrow = r.mayNarrow()
	r.sweeps.scheduled = false
	r.sweeps.wanted, r.sweeps.checksum, r.sweeps.running = false, false, true
	r.sweeps.missed, r.sweeps.finding = time.Time{}, r.sweeps.missed
	r.sweeps.asked, r.sweeps.after = false, time.Time{}
	r.seen.Store(0)
	r.sweeps.copied = nil
	r.linksAt, r.links.swept = time.Time{}, time.Now()
	r.cut = false
	r.sweeps.beside = r.pushes
	if r.flight.marks+r.bulk.flight.marks > 0 {
		r.sweeps.beside--
	}
	r.tellChange()
	return checksum
}

// compare lists what differs, without what lies on lost mount points and what the
// rules leave out; nil leaves out nothing.
func (r *Replica) compare(ctx context.Context, checksum bool, rules *filter.Rules, seen *atomic.Int64) (rsync.Diff, error) {
	v, err := r.root.open()
	if err != nil {
		return rsync.Diff{}, err
	}
	defer v.Close()
	if err := r.reach(ctx); err != nil {
		return rsync.Diff{}, err
	}
	r.log.Debug("sweep starts", "checksum", checksum)
	diff, err := r.slave.Compare(ctx, v.Dir(), []tree.Path{tree.Root}, checksum, seen)
	if err != nil {
		return rsync.Diff{}, err
	}
	return v.narrowed(v.known(diff), rules)
}

// known drops what lies below mount points that are lost, and says so.
func (v *view) known(d rsync.Diff) rsync.Diff {
	if len(v.lost) == 0 {
		return d
	}
	d.Differ = slices.DeleteFunc(d.Differ, func(c rsync.Change) bool { return v.below(c.Path) })
	d.Extras = slices.DeleteFunc(d.Extras, func(e rsync.Extra) bool { return v.below(e.Path) })
	if d.Partial == nil {
		d.Partial = &rsync.Error{Class: rsync.SourceGone, Text: fmt.Sprintf("what lies on %q was not compared", v.lost[0].Path), Hint: "mount it again"}
	}
	return d
}

// reported is known for what a push found below deep marks.
func (v *view) reported(out rsync.Outcome) rsync.Outcome {
	if len(v.lost) == 0 {
		return out
	}
	out.Differ = slices.DeleteFunc(out.Differ, v.below)
	out.Extras = slices.DeleteFunc(out.Extras, func(e rsync.Extra) bool { return v.below(e.Path) })
	return out
}

// learn turns a comparison into marks. Needs the lock.
func (r *Replica) learn(d rsync.Diff) {
	missed := r.sweeps.finding
	r.drifted(d, missed)
	for _, c := range d.Differ {
		r.mark(c.Path, differs(c))
	}
	r.sweeps.entries = int64(d.Entries - created(d.Differ))
	extras := r.settledExtras(d.Extras)
	if len(extras) < len(d.Extras) {
		r.sweepAgain(time.Now())
	}
	if d.Partial == nil && r.pushes == r.sweeps.beside { // else something may be held that was not extra yet
		r.gate.refresh(extras)
	}
	r.extras(extras, missed)
	if d.Partial == nil && (!r.holdsFirst() || len(r.gate.held) == 0) {
		r.sweeps.firstDone = true
	}
	for _, f := range d.Failed {
		f.What |= tree.Deep // of a directory, what is in it was skipped
		r.refused(f, missed, false, time.Now())
	}
	if d.Partial == nil {
		delete(r.retries, tree.Root)
	}
	if !r.sweeps.finding.IsZero() {
		r.lookAgain()
	}
	r.backdate(missed)
	r.sweeps.finding = time.Time{}
	r.sweeps.complete = d.Partial == nil
	r.sweeps.partial = d.Partial != nil && d.Partial.Class != rsync.SourceGone // that one is told when it is back
	r.sweeps.done++
	r.counts.connections++
	r.recovered(time.Now())
	r.links.sweepTook(time.Since(r.links.swept))
	if r.sweeps.complete {
		r.sweeps.began = r.links.swept
	}
	if r.clean() {
		r.counts.inSync = r.asOf(time.Now())
	}
	r.log.Info("sweep done", "entries", d.Entries, "differ", len(d.Differ), "extra", len(d.Extras), "held", r.gate.count())
	poke(r.wake)
}

// created counts the entries that the slave lacks.
func created(changes []rsync.Change) int {
	n := 0
	for _, c := range changes {
		if c.Created() {
			n++
		}
	}
	return n
}

// settledExtras drops what looks like the temporary file of an upload if one
// of ours ran beside the sweep: it may be that one's. Left over ones are found
// by a sweep that runs alone. Needs the lock.
func (r *Replica) settledExtras(extras []rsync.Extra) []rsync.Extra {
	if r.pushes == r.sweeps.beside {
		return extras
	}
	return slices.DeleteFunc(slices.Clone(extras), func(e rsync.Extra) bool { return !e.Dir && e.Temporary() })
}

// sweepAgain asks for another sweep soon, for what differs since some time and no
// sweep so far could judge: until then the target is not known to be equal. Needs the
// lock.
func (r *Replica) sweepAgain(since time.Time) {
	if r.linksAt.IsZero() {
		r.linksAt = r.links.sweepAt()
	}
	r.sweeps.missed = earliest(r.sweeps.missed, since)
	poke(r.sweepUp)
}

// differs says what to mark for one line of a comparison. A directory that the
// slave lacks goes as a whole.
func differs(c rsync.Change) tree.What {
	switch {
	case c.Dir && c.Created():
		return tree.Deep
	case c.AttrsOnly():
		return tree.Attrs
	}
	return tree.Content
}

// watched says that every change is marked from now on. Whatever changed
// before is found by a sweep, unless the user said that nothing did.
func (r *Replica) watched(sweep bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweeps.complete = r.sweeps.complete || r.sweeps.firstDone && !sweep
	if !r.sweeps.complete || sweep { // a target never swept has to be
		r.missed()
	}
}
