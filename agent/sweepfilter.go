package agent

import (
	"slices"
	"time"

	"syncagent/agent/filter"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// A sweep by schedule leaves out what sweep.filter excludes. It may only add marks:
// it never saw the whole tree, so it ends no doubt, lets go of nothing that is
// held, and says nothing of a first sync. Whenever a sweep is needed for one of
// these, it is a whole one, whoever asked for it.

// scheduleSweep asks for a sweep that may leave out what sweep.filter excludes.
func (r *Replica) scheduleSweep(checksum bool) {
	r.mu.Lock()
	r.noteEqual()
	r.sweeps.scheduled = r.sweeps.scheduled || !r.sweeps.wanted
	if !r.sweeps.wanted {
		r.stagger(time.Now())
	}
	r.sweeps.wanted = true
	r.sweeps.checksum = r.sweeps.checksum || checksum
	r.mu.Unlock()
	poke(r.sweepUp)
}

// mayNarrow reports whether the wanted sweep may leave something out. Needs the
// lock.
func (r *Replica) mayNarrow() bool {
	s := &r.sweeps
	return r.module.SweepRules != nil && s.scheduled && s.complete && s.firstDone && !s.partial && !r.cut && s.oldest().IsZero() && r.linksAt.IsZero()
}

// sweepRules are what the running sweep leaves out.
func (r *Replica) sweepRules() *filter.Rules {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.sweeps.narrow {
		return nil
	}
	return r.module.SweepRules
}

// narrowed drops what the rules leave out. What the slave alone has goes with the
// topmost directory that is missing here, so all of such a directory is left
// alone when something in it is left out, and so is a directory where a file shall
// be.
func (v *view) narrowed(d rsync.Diff, rules *filter.Rules) (rsync.Diff, error) {
	if rules.Empty() {
		return d, nil
	}
	var spared tree.Batch
	for _, e := range d.Extras {
		if rules.Excludes(e.Path, e.Dir) {
			spared = append(spared, tree.Mark{Path: e.Path, What: tree.Content})
		}
	}
	entries, err := v.Lookup(spared)
	if err != nil {
		return rsync.Diff{}, err
	}
	kept := map[tree.Path]bool{}
	for _, e := range entries {
		kept[e.Path] = true // as it is missing, or somebody just made it
	}
	d.Extras = slices.DeleteFunc(d.Extras, func(e rsync.Extra) bool { return covered(kept, e.Path) || rules.Excludes(e.Path, e.Dir) })
	d.Differ = slices.DeleteFunc(d.Differ, func(c rsync.Change) bool { return kept[c.Path] || rules.Excludes(c.Path, c.Dir) })
	d.Failed = slices.DeleteFunc(d.Failed, func(f rsync.Failure) bool { return rules.Excludes(f.Path, true) })
	return d, nil
}

// learnNarrow turns a comparison that left something out into marks. A directory
// that the slave lacks goes entry by entry, since not all of it may. Needs the
// lock.
func (r *Replica) learnNarrow(d rsync.Diff) {
	r.drifted(d, time.Time{})
	for _, c := range d.Differ {
		what := differs(c)
		if what == tree.Deep {
			what = tree.Content
		}
		r.mark(c.Path, what)
	}
	r.extras(r.settledExtras(d.Extras), r.sweeps.finding)
	for _, f := range d.Failed {
		f.What |= tree.Deep // of a directory, what is in it was skipped
		r.refused(f, time.Time{}, false, time.Now())
	}
	if d.Partial != nil {
		r.sweeps.complete = false
		r.sweeps.partial = d.Partial.Class != rsync.SourceGone // that one is told when it is back
	}
	r.sweeps.done++
	r.counts.connections++
	r.recovered(time.Now())
	r.links.sweepTook(time.Since(r.links.swept))
	if r.clean() {
		r.counts.inSync = r.asOf(time.Now())
	}
	r.log.Info("sweep done, without what sweep.filter excludes", "entries", d.Entries, "differ", len(d.Differ), "extra", len(d.Extras))
	poke(r.wake)
}
