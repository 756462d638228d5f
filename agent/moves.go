package agent

import (
	"slices"

	"syncagent/agent/root"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// maxMoves bounds the renames that are remembered for one target.
const maxMoves = 256

// moves remembers, by its new path, where a directory stood before it was renamed:
// what the slave has there it can link, and need not be sent. That is a hint which may
// always be lost. What is sent, and what is deleted, is decided by what is there.
type moves struct {
	by      map[tree.Path]*move
	leaving tree.Path // the directory that went last, if the slave had all of it

	// shared are old names that the slave may still have, as links of the new ones.
	shared map[tree.Path]bool
}

type move struct {
	from   tree.Path
	waited bool // its removal waited for the bulk lane once
}

// leave notes that a directory is about to be marked as gone. A mark at or below it
// would be swallowed by that, and what it says of content is not to be lost. Needs the
// lock.
func (r *Replica) leave(p tree.Path) {
	r.moves.leaving = tree.Root
	if r.settledBelow(p) {
		r.moves.leaving = p
	}
}

// Moved marks the new name of the directory whose old one was just marked as gone.
func (r *Replica) Moved(from, to tree.Path, what tree.What) {
	r.mu.Lock()
	untouched := !r.lane.lacks(to) && !r.bulk.lacks(to) // a change before the move may be told of under the new name
	r.mark(to, what)
	r.marks.events++
	if untouched && from == r.moves.leaving && len(r.moves.by) < maxMoves {
		r.moves.by[to] = &move{from: from}
	}
	r.moves.leaving = tree.Root
	r.mu.Unlock()
	poke(r.wake)
}

// touch forgets the moves that a mark at p may tell more of than the sizes and times
// which links go by: the set keeps no mark below that of the new name.
func (m *moves) touch(p tree.Path, what tree.What) {
	if what&(tree.Content|tree.Deep) == 0 {
		return
	}
	for to, from := range m.by {
		if related(p, to) || related(p, from.from) {
			delete(m.by, to)
		}
	}
}

// related reports whether one of the paths is the other, or above it.
func related(p, q tree.Path) bool { return p.Contains(q) || q.Contains(p) }

// settledBelow reports whether the slave has all that stands at and below p, as far as
// is known. Needs the lock.
func (r *Replica) settledBelow(p tree.Path) bool {
	for q := range r.retries {
		if p.Contains(q) {
			return false
		}
	}
	return !r.lane.lacks(p) && !r.bulk.lacks(p) && !r.unsure.overlaps(p) && r.hot.held == 0 && r.sweeps.complete && r.outage.err == nil
}

// seeds returns which of the subtrees that the lane is about to send the slave may
// have under an old name. Needs the lock.
func (r *Replica) seeds(l *lane, found *look, away map[tree.Path]bool) []rsync.Seed {
	var list []rsync.Seed
	for _, e := range found.entries {
		m := r.moves.by[e.Path]
		if m == nil || away[e.Path] {
			continue
		}
		delete(r.moves.by, e.Path)
		seed := rsync.Seed{From: m.from, To: e.Path}
		if len(r.moves.shared) < maxMoves && e.Stat.IsDir() && onlyCopied(e) && seed.CanSeed() && r.mayLink(l, found, seed) {
			list = append(list, seed)
			r.moves.shared[seed.From] = true
		}
	}
	return list
}

// sparing keeps the live lane's seeds whose old names go with them: what is held may
// stand there for days, and be forgotten to share its files by a start.
func (w *work) sparing() {
	if w.bulk { // its old names go later
		return
	}
	going := map[tree.Path]bool{}
	for _, p := range w.send.Gone {
		going[p] = true
	}
	w.send.Seeds = slices.DeleteFunc(w.send.Seeds, func(s rsync.Seed) bool { return !covered(going, s.From) })
}

// shares reports whether something at, above or below p may be a link of what a new
// name has. Needs the lock.
func (m *moves) shares(p tree.Path) bool {
	for from := range m.shared {
		if related(p, from) {
			return true
		}
	}
	return false
}

// parted notes what went, and what was written anew.
func (m *moves) parted(paths []tree.Path, dirty map[tree.Path]bool) {
	for _, p := range paths {
		for from := range m.shared {
			if p.Contains(from) && !dirty[p] {
				delete(m.shared, from)
			}
		}
	}
}

// mayLink reports whether what the slave has under the old name can be trusted as far
// as its size and time go, and whether that name goes: links share their attributes.
func (r *Replica) mayLink(l *lane, found *look, s rsync.Seed) bool {
	rules := r.module.Rules
	return r.module.Delete && r.module.BackupDir == "" && !found.nested() &&
		!rules.MayExcludeBelow(s.From) && !rules.MayExcludeBelow(s.To) &&
		r.outage.err == nil && !r.unsure.overlaps(s.From) && !r.beside(l).flight.overlaps(s.From) &&
		len(r.growing(s.To)) == 0 && isMissing(found, s.From)
}

func isMissing(found *look, p tree.Path) bool {
	list, err := found.Lookup(tree.Batch{{Path: p, What: tree.Attrs}})
	return err == nil && len(list) == 1 && list[0].State == root.Missing
}

// awaited reports whether the removal of an entry waits for the bulk lane, which is
// about to link what is in it. Each does so once at most. Needs the lock.
func (r *Replica) awaited(l *lane, e root.Entry, away map[tree.Path]bool) bool {
	if l == r.bulk || e.State != root.Missing {
		return false
	}
	wait := false
	for to, m := range r.moves.by {
		if e.Path.Contains(m.from) && !m.waited && (away[to] || r.bulk.set.Overlaps(to)) {
			m.waited, wait = true, true
		}
	}
	return wait
}
