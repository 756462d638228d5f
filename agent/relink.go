package agent

import (
	"slices"
	"time"

	"syncagent/agent/root"
	"syncagent/agent/tree"
)

// Linked notes that the watcher saw p as one of several names of a file. If nothing is
// left of that when p is looked at, something may have been written under p that the
// other names show, and no mark tells which these are.
func (r *Replica) Linked(p tree.Path) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.links.fresh) >= maxLinks {
		clear(r.links.fresh)
		r.sweepAgain(time.Now())
	}
	r.links.fresh[p] = true
}

// link marks the other names of a file. Needs the lock.
func (r *Replica) link(w *work, e root.Entry) {
	others, changed := r.links.seen(e.Path, e.Stat)
	for _, p := range others {
		r.remark(p, tree.Content, w.since)
	}
	if changed {
		w.linked = append(w.linked, e.Stat)
	}
}

// otherNames marks the names that are left of a file of which one went. Size and time
// tell whether anything was written. Needs the lock.
func (r *Replica) otherNames(others []tree.Path, since time.Time) {
	for _, p := range others {
		r.remark(p, tree.Attrs, since)
	}
}

// expected looks at the names that Linked told of, at and below what is being sent.
func (r *Replica) expected(v *view, entries []root.Entry) []root.Entry {
	r.mu.Lock()
	marks := r.links.take(entries)
	r.mu.Unlock()
	if len(marks) == 0 {
		return nil
	}
	found, err := v.Lookup(marks)
	if err != nil || len(found) < len(marks) { // several below one directory that is gone
		found = append(found, root.Entry{State: root.Missing})
	}
	return found
}

// take returns and forgets the fresh names at and below entries.
func (l *links) take(entries []root.Entry) tree.Batch {
	if len(l.fresh) == 0 {
		return nil
	}
	paths := make(map[tree.Path]bool, len(entries))
	for _, e := range entries {
		paths[e.Path] = true
	}
	var b tree.Batch
	for p := range l.fresh {
		if covered(paths, p) {
			b = append(b, tree.Mark{Path: p, What: tree.Attrs})
			delete(l.fresh, p)
		}
	}
	return b
}

// relink has a sweep look for the names that are not known of files that changed, or
// that lost one before it was looked at, once the whole batch is.
func (r *Replica) relink(w *work, expected []root.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lost := false
	for _, e := range expected {
		if e.State == root.Present && e.Stat.IsRegular() && e.Stat.Links > 1 {
			r.link(w, e)
		} else {
			lost = true
		}
	}
	r.otherNames(r.links.goneBelow(w.missing), w.since)
	if lost || slices.ContainsFunc(w.linked, r.links.lacks) {
		r.sweepAgain(w.since)
	}
}
