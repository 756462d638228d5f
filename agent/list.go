package agent

import (
	"context"
	"slices"

	"syncagent/agent/root"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// listMost bounds the paths that one step finds below deep marks; what is left
// is found by the next.
const listMost = 100_000

// list replaces the deep marks of a module whose filter holds expressions by the
// paths below them that differ. Rsync knows no expressions and would send what
// they leave out, as soon as it looks for itself; so it is asked what differs,
// and is then told each path. Found are the entries this adds to the batch,
// extras what the slave has beyond them.
func (r *Replica) list(ctx context.Context, l *lane, v *view, w *work) (found []root.Entry, extras []rsync.Extra, err error) {
	deep := w.send.Deep
	if len(deep) == 0 || !r.module.Rules.HasRegexps() {
		return nil, nil, nil
	}
	other := w.send.Other
	w.send.Deep, w.send.Other = nil, nil
	diff, err := r.slave.Compare(ctx, v.Dir(), deep, len(other) > 0, nil)
	if err != nil {
		return nil, nil, err
	}
	diff = v.known(diff)
	marks, rest := differing(diff, deep)
	marks = slices.DeleteFunc(marks, func(m tree.Mark) bool { return slices.Contains(w.send.Leave, m.Path) })
	if found, err = v.Lookup(marks); err != nil {
		return nil, nil, err
	}
	more := r.sort(l, v, found)
	w.join(more)
	w.failed = append(w.failed, unfound(diff, deep)...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.connections++
	if rest {
		for _, p := range deep {
			r.remark(p, tree.Deep, w.since)
		}
		for _, p := range other {
			r.remark(p, tree.Other, w.since)
		}
	}
	return found, diff.Extras, nil
}

// differing are the marks of what differs below the deep paths, each for its own
// path only; rest says that there is more. Directories above come along with what
// is below them.
func differing(d rsync.Diff, deep []tree.Path) (marks tree.Batch, rest bool) {
	tops := map[tree.Path]bool{}
	for _, p := range deep {
		tops[p] = true
	}
	for _, c := range d.Differ {
		switch {
		case !covered(tops, c.Path):
			continue
		case len(marks) == listMost:
			return marks, true
		}
		what := tree.Content
		if c.AttrsOnly() {
			what = tree.Attrs
		}
		marks = append(marks, tree.Mark{Path: c.Path, What: what})
	}
	return marks, false
}

// unfound is what could not be compared: single paths, or else all of it.
func unfound(d rsync.Diff, deep []tree.Path) []rsync.Failure {
	if d.Partial == nil {
		return nil
	}
	if len(d.Failed) > 0 {
		for i := range d.Failed {
			d.Failed[i].What |= tree.Deep // of a directory, what is in it was skipped
		}
		return d.Failed
	}
	list := make([]rsync.Failure, len(deep))
	for i, p := range deep {
		list[i] = rsync.Failure{Path: p, What: tree.Deep, Class: rsync.Partial, Text: d.Partial.Error()}
	}
	return list
}

// join adds what else was sorted.
func (w *work) join(o work) {
	w.send.Send = append(w.send.Send, o.send.Send...)
	w.send.Attrs = append(w.send.Attrs, o.send.Attrs...)
	w.gone = append(w.gone, o.gone...)
	w.replace = append(w.replace, o.replace...)
	w.failed = append(w.failed, o.failed...)
	w.linked = append(w.linked, o.linked...)
	for p := range o.back {
		w.back[p] = true
	}
	for p := range o.missing {
		w.missing[p] = true
	}
}
