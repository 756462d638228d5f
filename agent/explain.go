package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"syncagent/agent/status"
	"syncagent/agent/tree"
	"syncagent/agent/watch"
)

// Explain tells of each module that holds the path what becomes of it.
func (m *Master) Explain(req status.ExplainRequest) ([]status.Explanation, error) {
	list := []status.Explanation{}
	for _, s := range m.list() {
		p, ok := withinModule(s.module.Path, req.Path.Name)
		if !ok || req.Module != "" && req.Module != s.module.Name {
			continue
		}
		list = append(list, s.explain(p, req.Scope))
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("explain %q: it lies in no module: \"agent config show\" lists their paths", req.Path.Name)
	}
	return list, nil
}

func (s *Source) explain(p tree.Path, scope status.Scope) status.Explanation {
	kind, dir := s.kindOf(p)
	e := status.Explanation{
		Module: s.module.Name, Path: status.Path{Name: string(p)}, Entry: kind, Blocked: s.Blocked(),
		Targets: []status.ExplainedTarget{},
	}
	rule, at, excluded := s.module.Rules.Decides(p, dir)
	e.Excluded, e.Rule, e.RulePath = excluded, rule, status.Path{Name: string(at)}
	e.Watched, e.Watcher = s.watched(p, excluded)
	for _, r := range s.Replicas() {
		if scope.Holds(s.module.Name, r.target.Name) {
			e.Targets = append(e.Targets, r.explain(p))
		}
	}
	return e
}

// kindOf names what stands at p now.
func (s *Source) kindOf(p tree.Path) (kind string, dir bool) {
	r, err := os.OpenRoot(s.module.Path)
	if err != nil {
		return "unreadable", false
	}
	defer r.Close()
	name := string(p)
	if p == tree.Root {
		name = "."
	}
	info, err := r.Lstat(filepath.FromSlash(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "missing", false
	case err != nil:
		return "unreadable", false
	case info.IsDir():
		return "directory", true
	case info.Mode().IsRegular():
		return "file", false
	case info.Mode()&fs.ModeSymlink != 0:
		return "symlink", false
	}
	return "other", false
}

// watched says by what changes of p are noticed, or why they are not.
func (s *Source) watched(p tree.Path, excluded bool) (bool, string) {
	w := s.watches()
	if w == nil {
		return false, "the module is not watched now"
	}
	st := w.Stats()
	blind := func(q tree.Path) bool { return q.Contains(p) }
	switch {
	case excluded:
		return false, "a rule excludes it"
	case st.Backend == string(watch.Poll):
		return false, "nothing reports changes (" + st.Why + "): the module is compared at intervals"
	case slices.ContainsFunc(st.Blind, blind):
		return false, "its directory could not be watched: it is compared at intervals"
	case slices.Contains(w.Growing(p), p):
		return true, st.Backend + ": held back, since somebody is writing it"
	}
	return true, st.Backend
}

// explain tells where p stands on the target.
func (r *Replica) explain(p tree.Path) status.ExplainedTarget {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	t := status.ExplainedTarget{Name: r.target.Name, State: r.state(now), LastSuccess: status.Time{Time: r.counts.lastSuccess}, Where: r.where(p), Last: r.lastAttempt(p)}
	if f, ok := r.retries[p]; ok {
		t.Class, t.Error, t.Tries = f.class.String(), f.text, f.tries
		t.Since, t.Next = status.Time{Time: f.since}, status.Time{Time: f.next}
	} else if r.outage.err != nil {
		t.Class, t.Error, t.Tries = r.outage.class.String(), r.outage.err.Error(), r.outage.tries
		t.Next = status.Time{Time: r.outage.notBefore}
	}
	return t
}

// where names the way station of p. Needs the lock.
func (r *Replica) where(p tree.Path) string {
	covers := func(m tree.Mark) bool { return m.Path == p || m.What&tree.Deep != 0 && m.Path.Contains(p) }
	failing := false
	for q, t := range r.retries {
		failing = failing || q == p || covers(tree.Mark{Path: q, What: t.mark.What})
	}
	switch {
	case r.gate.holds(p):
		return "held"
	case failing:
		return "failing"
	case slices.ContainsFunc(r.lane.flight.batch, covers), slices.ContainsFunc(r.bulk.flight.batch, covers):
		return "sending"
	case r.lane.waiting(covers), r.bulk.waiting(covers), r.surplus[p], r.hot.resting(p), r.unsure.set.Covers(p):
		return "dirty"
	case r.unsure.all || !r.sweeps.complete || !r.sweeps.oldest().IsZero():
		return "sweep"
	}
	return "confirmed"
}

// waiting reports whether a mark that is not being sent satisfies covers.
func (l *lane) waiting(covers func(tree.Mark) bool) bool {
	return slices.ContainsFunc(slices.Collect(l.set.All()), covers) || slices.ContainsFunc(slices.Collect(l.waits.All()), covers)
}

// resting reports whether p has a mark that rests.
func (h *hot) resting(p tree.Path) bool { return h.files[p] != nil && h.files[p].what != 0 }
