package agent

import (
	"context"
	"slices"
	"time"

	"syncagent/agent/root"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// heavyEntries is how many entries make a subtree a deep copy that takes long;
// lanes.large bytes do, too.
const heavyEntries = 1000

// maxLeft bounds the files that one run leaves out: each is an argument.
const maxLeft = 200

// lane is one of the two ways to a target. What is marked is looked up in the
// live lane; what then takes long, a large file or a subtree of much, is handed to
// the bulk lane, which sends it in a run of its own, so that a small change waits
// for no big one. The lanes keep to this:
//
//   - Every mark is in exactly one place that the journal and the state count: a
//     lane's set, its waits or its flight, or among the retries.
//   - What the two send at a time never overlaps: no path of one is a path of the
//     other, nor above or below one. This is decided on what a look found, since that
//     may stand above what was marked, under the replica's lock and before
//     anything is sent (claim). What overlaps waits until the other lane lands, and
//     is then looked up anew.
//   - What had to wait for the bulk lane goes before the next bulk run.
//   - The bulk lane copies and does nothing else. What is missing, replaces a
//     directory or is looked up as anything unexpected goes back to the live lane, so
//     that there is one way to the delete gate.
//   - A path that changes while a lane sends it is marked by its event as ever, and
//     is claimed again only after that lane has landed.
//   - A run gives the directories above its paths the times they had when it began.
//     The bulk run may do so long after the live one gave them newer ones, so they are
//     marked when it lands.
type lane struct {
	wake   chan struct{} // something for its loop to look at
	set    *tree.Set
	marks  settling
	flight flight
	waits  *tree.Set // what overlapped the other lane's flight when it was looked up
	since  time.Time // of the oldest mark of waits
}

// flight is the batch being sent.
type flight struct {
	marks  int
	since  time.Time // of its oldest mark
	taken  time.Time // out of the set, before anything was looked at
	batch  tree.Batch
	sends  []root.Entry // what it claimed
	paths  *tree.Set    // of sends and seeds, made when they are first asked for
	seeds  []rsync.Seed // which of them the slave may have under an old name
	beside bool         // the other lane sent something meanwhile
	leave  []tree.Path  // files below its subtrees that are not sent with them
	again  bool         // its subtrees have to be looked at again
}

func newLane() *lane {
	return &lane{wake: make(chan struct{}, 1), set: tree.NewSet(tree.DefaultCap), waits: tree.NewSet(tree.DefaultCap)}
}

// overlaps reports whether the flight sends p, or something above or below it.
func (f *flight) overlaps(p tree.Path) bool {
	if len(f.sends) == 0 {
		return false
	}
	if f.paths == nil {
		f.paths = tree.NewSet(tree.DefaultCap)
		for _, e := range f.sends {
			f.paths.Mark(e.Path, e.What|tree.Content)
		}
		for _, s := range f.seeds {
			f.paths.Mark(s.From, tree.Content|tree.Deep)
		}
	}
	return f.paths.Overlaps(p)
}

// put adds marks that have been dirty since some time.
func (l *lane) put(b tree.Batch, since time.Time) {
	l.set.Restore(b)
	l.marks.touch(since)
}

// postpone keeps marks until the other lane lands.
func (l *lane) postpone(b tree.Batch, since time.Time) {
	l.waits.Restore(b)
	l.since = earliest(l.since, since)
}

// takeUp puts into the set what waited, and reports whether there was anything.
func (l *lane) takeUp() bool {
	if l.waits.Len() == 0 {
		return false
	}
	l.put(l.waits.Take(), l.since)
	l.since = time.Time{}
	return true
}

// held counts the lane's marks, wherever they are.
func (l *lane) held() int { return l.set.Len() + l.waits.Len() + l.flight.marks }

// lacks reports whether a mark of the lane is at, above or below p.
func (l *lane) lacks(p tree.Path) bool {
	return l.set.Overlaps(p) || l.waits.Overlaps(p) ||
		slices.ContainsFunc(l.flight.batch, func(m tree.Mark) bool { return p.Contains(m.Path) || m.Path.Contains(p) })
}

// dirtySince is when its oldest mark was made; zero when it has none.
func (l *lane) dirtySince() time.Time {
	first := earliest(l.marks.first, l.since)
	if l.flight.marks > 0 {
		first = earliest(first, l.flight.since)
	}
	return first
}

// addTo adds all its marks to a set.
func (l *lane) addTo(to *tree.Set) {
	for m := range l.set.All() {
		to.Mark(m.Path, m.What)
	}
	for m := range l.waits.All() {
		to.Mark(m.Path, m.What)
	}
	to.Restore(l.flight.batch)
}

// touch notes that there is something more to look at now, dirty since some time
// or, if that is zero, since now.
func (s *settling) touch(since time.Time) {
	s.last = time.Now()
	if since.IsZero() {
		since = s.last
	}
	s.first = earliest(s.first, since)
}

// earliest returns the earlier of two times of which either may be zero for none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// beside returns the other lane.
func (r *Replica) beside(l *lane) *lane {
	if l == r.bulk {
		return r.lane
	}
	return r.bulk
}

// marked counts what is marked and not confirmed, retries not included. Needs the
// lock.
func (r *Replica) marked() int { return r.lane.held() + r.bulk.held() + len(r.surplus) + r.hot.held }

// carry runs the bulk lane.
func (r *Replica) carry(ctx context.Context) error {
	for r.settle(ctx, r.bulk) {
		if r.slots.Acquire(ctx) != nil {
			return nil
		}
		if wait, some, _ := r.due(r.bulk, time.Now()); some && wait <= 0 { // not paused meanwhile
			r.step(ctx, r.bulk)
		}
		r.slots.Release()
	}
	return nil
}

// bulkDue returns when the bulk lane may take off. Needs the lock.
func (r *Replica) bulkDue() time.Time {
	if r.owed || r.bulk.set.Len() == 0 {
		return time.Time{}
	}
	return r.bulk.marks.first
}

// claim returns which of the looked up entries the lane sends now. The others go
// to the other lane, or wait for it to land.
func (r *Replica) claim(l *lane, found *look) []root.Entry {
	away := r.misplaced(l, found)
	r.mu.Lock()
	defer r.mu.Unlock()
	other := r.beside(l)
	mine := found.entries
	l.flight.seeds = r.seeds(l, found, away)
	r.setApart(l, mine, found, away)
	resting := r.resting(l, mine)
	if len(resting)+len(away)+len(r.moves.by) > 0 || len(other.flight.sends) > 0 {
		mine = nil
		l.flight.batch = nil
		for _, e := range found.entries {
			switch {
			case resting[e.Path]:
			case away[e.Path]:
				other.put(e.Batch, l.flight.since)
				poke(other.wake)
			case other.flight.overlaps(e.Path), r.awaited(l, e, away):
				l.postpone(e.Batch, l.flight.since)
			default:
				mine = append(mine, e)
				l.flight.batch = append(l.flight.batch, e.Batch...)
			}
		}
		l.flight.marks = len(l.flight.batch)
	}
	l.flight.sends = mine
	if len(mine) > 0 && len(other.flight.sends) > 0 {
		l.flight.beside, other.flight.beside = true, true
	}
	return mine
}

// resting returns which of the live lane's files have to rest. Needs the lock.
func (r *Replica) resting(l *lane, entries []root.Entry) map[tree.Path]bool {
	rest := map[tree.Path]bool{}
	if l == r.bulk || len(r.hot.files) == 0 {
		return rest
	}
	now := time.Now()
	for _, e := range entries {
		if r.hot.rests(e, l.flight.since, now) {
			rest[e.Path] = true
		}
	}
	return rest
}

// misplaced returns what was found that is the other lane's.
func (r *Replica) misplaced(l *lane, found *look) map[tree.Path]bool {
	large := r.large()
	away := map[tree.Path]bool{}
	for _, e := range found.entries {
		copied := onlyCopied(e)
		if copied && l == r.bulk && e.Stat.IsDir() && r.module.Rules.HasRegexps() {
			copied = false // see isHeavy; so many large files that their marks became their directory's
		}
		if l == r.bulk && !copied || l != r.bulk && copied && large > 0 && r.isHeavy(e, found, large) {
			away[e.Path] = true
		}
	}
	return away
}

func (r *Replica) isHeavy(e root.Entry, found *look, large int64) bool {
	if e.Stat.IsDir() {
		// with expressions it becomes a list, which may hold what only the live lane sends
		return !r.module.Rules.HasRegexps() && found.weigh(e.Path, r.heavy, large).Heavy
	}
	return e.Stat.Size >= large
}

// onlyCopied reports whether the entry is a file or a subtree that replaces no
// directory: the bulk lane takes no other. What stands for the whole set is a
// sweep's.
func onlyCopied(e root.Entry) bool {
	switch {
	case e.State != root.Present || e.Path == tree.Root:
		return false
	case e.Stat.IsDir():
		return e.What&tree.Deep != 0
	}
	return e.Stat.IsRegular() && e.What&tree.Content != 0 && !wasDirectory(e)
}

// setApart hands the large files in the live lane's subtrees to the bulk lane, and
// leaves them and those that somebody still writes, of which the watcher will tell, out
// of the subtrees' runs. Needs the lock.
func (r *Replica) setApart(l *lane, entries []root.Entry, found *look, away map[tree.Path]bool) {
	for _, e := range entries {
		seeded := slices.ContainsFunc(l.flight.seeds, func(s rsync.Seed) bool { return s.To == e.Path })
		if !e.Stat.IsDir() || !onlyCopied(e) || away[e.Path] || seeded {
			continue
		}
		l.flight.leave = append(l.flight.leave, leavable(r.growing(e.Path))...)
		if large := r.large(); large > 0 && l != r.bulk {
			apart := leavable(found.weigh(e.Path, r.heavy, large).Large)
			for _, p := range apart {
				r.bulk.put(tree.Batch{{Path: p, What: tree.Content}}, l.flight.since)
			}
			l.flight.leave = append(l.flight.leave, apart...)
		}
	}
	l.flight.leave = l.flight.leave[:min(len(l.flight.leave), maxLeft)]
}

// leavable drops what a run cannot leave out.
func leavable(paths []tree.Path) []tree.Path {
	return slices.DeleteFunc(slices.Clone(paths), func(p tree.Path) bool { return !rsync.CanLeave(p) })
}

// land ends the lane's flight, which needs the lock: whatever of it is not
// confirmed must be back in a set or among the retries by now.
func (r *Replica) land(l *lane, now time.Time) {
	ended := l.flight
	l.flight = flight{}
	r.keepDeep(ended)
	if l == r.bulk {
		if ended.beside {
			r.markParents(ended.sends)
		}
		r.owed = r.lane.takeUp()
		poke(r.lane.wake)
	} else {
		r.owed = false
		r.bulk.takeUp()
	}
	if r.bulk.set.Len() > 0 {
		poke(r.bulk.wake)
	}
	if r.clean() {
		r.counts.inSync = r.asOf(now)
		if !ended.since.IsZero() {
			r.log.Debug("target is equal", "marks", ended.marks)
		}
	}
	poke(r.saveUp)
	r.tellChange()
}

// keepDeep remembers the subtrees that landed while a sweep ran. What changed in
// them unseen, after their run had read it and before the sweep came along, neither
// of the two can know: they are looked at again when the sweep is done. A file that
// changed is noticed by its own run. Needs the lock.
func (r *Replica) keepDeep(ended flight) {
	for _, e := range ended.sends {
		switch deep := e.State == root.Present && e.What&tree.Deep != 0; {
		case deep && ended.again:
			r.mark(e.Path, tree.Deep)
			r.backdate(ended.since)
		case deep && r.sweeps.running:
			r.sweeps.copied = append(r.sweeps.copied, e.Path)
		}
	}
}

// lookAgain marks the subtrees that were sent beside a sweep which had to find what
// nobody saw. Needs the lock.
func (r *Replica) lookAgain() {
	for _, p := range r.sweeps.copied {
		r.mark(p, tree.Deep)
	}
	r.lane.flight.again, r.bulk.flight.again = true, true
}

// passedBy follows entries that came and went, of which themselves there is nothing to
// send: the times of the directories that they were in have changed. Needs the lock.
func (r *Replica) passedBy(entries []root.Entry, since time.Time) {
	if len(entries) > 0 {
		r.markParents(entries)
		r.backdate(since)
	}
}

// markParents marks the directories above entries that were sent. Needs the lock.
func (r *Replica) markParents(sent []root.Entry) {
	for _, e := range sent {
		for p := e.Path; p != tree.Root && p.Parent() != tree.Root; {
			p = p.Parent()
			r.mark(p, tree.Attrs)
		}
	}
}
