package agent

import (
	"context"
	"time"

	"syncagent/agent/root"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// makeWay leads entries that may have to replace a directory of the slave
// through the delete gate: rsync would remove that directory with all that is
// in it, whatever the rules say.
func (r *Replica) makeWay(ctx context.Context, w *work) error {
	if len(w.replace) == 0 {
		return nil
	}
	victims, err := r.inTheWay(ctx, w.replace)
	if err != nil {
		return w.unasked(w.replace, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	free, crowded := r.sortReplace(w, victims)
	allowed, n := r.judge(crowded, r.holdsFirst() && !r.sweeps.complete, w.since)
	w.send.Replace = allowed
	if len(allowed) > 0 {
		w.send.MaxDelete = r.gate.backstop(w.send.MaxDelete+n, r.sweeps.entries, time.Now())
	}
	w.send.Send = append(w.send.Send, free...)
	return nil
}

// inTheWay lists, by entry, the slave's directory that stands at its path with
// all that is in it.
func (r *Replica) inTheWay(ctx context.Context, entries []root.Entry) (map[tree.Path][]rsync.Extra, error) {
	void, err := r.void()
	if err != nil {
		return nil, err
	}
	defer void.Close()
	paths := make([]tree.Path, len(entries))
	for i, e := range entries {
		paths[i] = e.Path
	}
	victims, err := r.slave.Victims(ctx, void, paths)
	if err != nil {
		return nil, err
	}
	at := map[tree.Path][]rsync.Extra{}
	for _, e := range entries {
		at[e.Path] = nil
	}
	for _, v := range victims {
		for p := v.Path; p != tree.Root; p = p.Parent() {
			if list, ok := at[p]; ok && (v.Dir || p != v.Path) {
				at[p] = append(list, v)
			}
		}
	}
	return at, nil
}

// sortReplace tells entries that replace nothing from the victims of the
// others. An entry whose directory holds something excluded cannot be sent, nor can any
// where nothing is to be deleted: rsync itself lets an empty directory make way.
func (r *Replica) sortReplace(w *work, at map[tree.Path][]rsync.Extra) (free []tree.Path, crowded []rsync.Extra) {
	for _, e := range w.replace {
		victims := at[e.Path]
		kept := spare(victims, r.module.Rules)
		switch {
		case len(victims) == 0, len(victims) == 1 && !r.module.Delete:
			free = append(free, e.Path)
		case !r.module.Delete:
			w.failed = append(w.failed, inItsWay(e.Path, "a directory that delete: false keeps"))
		case len(kept) < len(victims):
			w.failed = append(w.failed, inItsWay(e.Path, "a directory with excluded content"))
		default:
			crowded = append(crowded, kept...)
		}
	}
	return free, crowded
}

func inItsWay(p tree.Path, what string) rsync.Failure {
	return rsync.Failure{
		Path: p, What: tree.Content | tree.Deep, Class: rsync.Partial,
		Text: "on the slave " + what + " is in its way: move that away there",
	}
}
