package agent

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/hook"
	"syncagent/agent/root"
	"syncagent/agent/status"
	"syncagent/agent/tree"
	"syncagent/agent/watch"
)

// A module without targets replicates nothing; its changes go to its hooks, the
// same way as to a slave: watched, filtered, marked, settled, looked at.

// lookAgain is how soon a batch that could not be looked at is tried again.
const lookAgain = time.Second

// announcer is to a module without targets what a Replica is to one with them.
// It has no journal, since there is nobody who could lack anything: what changes
// while nobody watches is told as the directory that may have changed.
type announcer struct {
	module config.Module
	look   func(tree.Batch, time.Time) (*look, error)
	tell   func(func() []hook.Event)
	log    *slog.Logger
	wake   chan struct{}

	mu        sync.Mutex
	set       *tree.Set
	marks     settling
	notBefore time.Time // after a look that failed
}

func newAnnouncer(s *Source) *announcer {
	return &announcer{
		module: s.module, look: s.look, tell: s.hooks.push, log: s.log,
		wake: make(chan struct{}, 1), set: tree.NewSet(tree.DefaultCap),
	}
}

// startAnnouncer gives a module its announcer if it has no target.
func (m *Master) startAnnouncer(ctx context.Context, s *Source) {
	if len(s.module.Targets) > 0 {
		return
	}
	s.told = newAnnouncer(s)
	m.crew.start(ctx, announcerKey(s.module.Name), s.told.Run)
}

// Mark says that p may have changed. gone tells that the entry was seen leaving.
func (a *announcer) Mark(p tree.Path, what tree.What, gone bool) {
	a.mu.Lock()
	a.set.Mark(p, what)
	a.marks.touch(time.Time{})
	a.marks.events++
	if gone {
		a.marks.gone++
	}
	a.mu.Unlock()
	poke(a.wake)
}

// state is what the module does: there is nobody whom it could be equal to.
func (a *announcer) state(blocked string, watching, unsettled bool) status.State {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case blocked != "":
		return status.Blocked
	case !watching:
		return status.Starting
	case unsettled || a.set.Len() > 0:
		return status.Settling
	}
	return status.Idle
}

// whole is what an event marks; of a directory that went, all that was in it.
func whole(e watch.Event) tree.What {
	if e.Gone && e.Kind == watch.KindDir {
		return e.What | tree.Deep
	}
	return e.What
}

// Run tells what is marked until ctx ends, then what is left.
func (a *announcer) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		wait, some := a.due(time.Now())
		if some && wait <= 0 {
			a.step()
			continue
		}
		var ring <-chan time.Time
		if some {
			timer.Reset(wait)
			ring = timer.C
		}
		select {
		case <-ctx.Done():
		case <-a.wake:
		case <-ring:
		}
	}
	a.step()
	return nil
}

// due tells how long to wait until there is something to tell; some is false
// when only a mark can say.
func (a *announcer) due(now time.Time) (wait time.Duration, some bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.set.Len() == 0 {
		return 0, false
	}
	next := latest(a.marks.leaves(a.module.Settle), a.notBefore)
	return next.Sub(now), true
}

// step looks at what is marked and tells what it finds.
func (a *announcer) step() {
	a.mu.Lock()
	batch, taken, gathered := a.set.Take(), time.Now(), a.marks
	a.marks = settling{}
	a.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	found, err := a.look(batch, taken)
	if err != nil {
		a.log.Debug("changes cannot be looked at, trying again", "error", err)
		a.mu.Lock()
		a.set.Restore(batch)
		a.marks.touch(gathered.first)
		a.notBefore = taken.Add(lookAgain)
		a.mu.Unlock()
		return
	}
	defer found.close()
	a.tell(func() []hook.Event { return []hook.Event{a.found(found.view, found.entries)} })
}

// found is the event of what a look came to.
func (a *announcer) found(v *view, entries []root.Entry) hook.Event {
	e := hook.Event{Module: a.module.Name, Root: a.module.Path, OK: true, Time: time.Now()}
	for _, entry := range entries {
		if p, some := a.path(v, entry); some {
			e.Paths = append(e.Paths, p)
		}
	}
	return e
}

// path says what became of an entry; false when it is nobody's business, or
// cannot be told because a file system is gone.
func (a *announcer) path(v *view, e root.Entry) (hook.Path, bool) {
	p := hook.Path{Path: e.Path, Op: hook.Put, Dir: e.State == root.Present && e.Stat.IsDir()}
	rules := a.module.Rules
	switch {
	case e.State == root.Unreadable, v.below(e.Path):
		return p, false
	case e.State == root.Missing:
		p.Op, p.Dir = hook.Delete, e.Unseen || wasDirectory(e)
		all := rules.Excludes(e.Path, false) && rules.Excludes(e.Path, true)
		return p, a.module.Delete && !all && !v.above(e.Path)
	case p.Dir && e.What&tree.Deep != 0:
		p.Op = hook.Tree
	case e.What&tree.Content == 0:
		p.Op = hook.Attrs
	}
	return p, e.Path == tree.Root || !rules.Excludes(e.Path, p.Dir)
}

func announcerKey(module string) string { return "announcer " + module }
