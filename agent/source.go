package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/status"
	"syncagent/agent/tree"
	"syncagent/agent/watch"
)

// recheckEvery is how often a blocked root is looked at again.
const recheckEvery = time.Second

// Source watches one module's tree and marks what may differ for each of the
// module's replicas.
type Source struct {
	module config.Module
	events selection
	guard  *guard
	log    *slog.Logger
	again  chan struct{} // the root may have changed
	failed escalator     // told of paths that fail for long; may be nil
	shared looks
	hooks  *moduleHooks
	told   *announcer // in place of replicas where the module has no target; nil else

	ready     chan struct{} // closed when the module watches or is blocked
	readyOnce sync.Once

	mu       sync.Mutex
	replicas []*Replica
	watcher  *watch.Watcher
	before   watchTotals // of the watchers before this one
	blocked  string
	watching bool            // the whole tree is watched now
	started  bool            // it was watched before
	written  map[string]bool // targets whose journals are this source's own
}

type watchTotals struct{ events, overflows uint64 }

func newSource(m config.Module, store moduleStore, log *slog.Logger) *Source {
	log = log.With("module", m.Name)
	return &Source{
		module:  m,
		events:  selected(m.Events),
		guard:   &guard{module: m.Name, path: m.Path, accept: m.RootChange == "accept", filter: m.Filter, store: store, log: log},
		log:     log,
		again:   make(chan struct{}, 1),
		ready:   make(chan struct{}),
		written: map[string]bool{},
	}
}

// Run watches until ctx ends, whatever becomes of the directory meanwhile.
func (s *Source) Run(ctx context.Context) error {
	if err := s.guard.load(); err != nil {
		return err
	}
	stop := s.schedule(ctx)
	defer stop()
	for {
		root, ok := s.await(ctx)
		if !ok {
			return nil
		}
		if s.watch(ctx, root) != nil {
			s.pause(ctx)
		}
	}
}

// await returns the resolved path of the root once the guard lets it pass.
func (s *Source) await(ctx context.Context) (string, bool) {
	for ctx.Err() == nil {
		v, err := s.open()
		if err == nil {
			defer v.Close()
			return v.Path(), true
		}
		s.readyOnce.Do(func() { close(s.ready) })
		s.pause(ctx)
	}
	return "", false
}

// pause waits before the root is looked at again.
func (s *Source) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.again:
	case <-time.After(recheckEvery):
	}
}

// watch runs one watcher until it ends or the root is no longer the one it
// watches.
func (s *Source) watch(ctx context.Context, root string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := watch.New(watch.Config{
		Root: root, Excludes: s.module.Rules.Excludes, Backend: watch.Backend(s.module.Watcher), Log: s.log,
		Growing: s.module.Settle.Growing.Std(),
	})
	s.setWatcher(w)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.recheck(ctx)
		cancel()
	}()
	err := w.Run(ctx, s.sink, s.watchReady)
	cancel()
	<-done
	s.unwatch(w)
	if err != nil && !errors.Is(err, watch.ErrRootLost) {
		s.log.Warn("watcher stopped, starting it again", "error", err)
	}
	return err
}

// recheck returns when the guard no longer lets the root pass.
func (s *Source) recheck(ctx context.Context) {
	for {
		var again <-chan time.Time
		if s.Blocked() != "" {
			again = time.After(recheckEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.again:
		case <-again:
		}
		v, err := s.open()
		var blocked *blockedError
		switch {
		case err == nil:
			v.Close()
		case errors.As(err, &blocked) && blocked.emptied: // go on watching
		default:
			return
		}
	}
}

// sink takes what the watcher saw: filter, then mark. It never waits.
func (s *Source) sink(e watch.Event) {
	if e.Cause == watch.Mounted || e.Cause == watch.Lost {
		poke(s.again)
	}
	if e.Gone && s.guard.gone(e.Path) && s.Blocked() != "" {
		poke(s.again)
	}
	if s.excluded(e) || !s.events.takes(e) {
		return
	}
	if e.Linked {
		s.linked(e.Path)
		return
	}
	for _, r := range s.Replicas() {
		if e.From != tree.Root {
			r.Moved(e.From, e.Path, e.What)
			continue
		}
		r.Mark(e.Path, marked(e), e.Gone)
	}
	if s.told != nil {
		s.told.Mark(e.Path, whole(e), e.Gone)
	}
}

func (s *Source) linked(p tree.Path) {
	for _, r := range s.Replicas() {
		r.Linked(p)
	}
}

// marked is what an event marks: where a directory went, the next one is another.
func marked(e watch.Event) tree.What {
	if e.Gone && e.Kind == watch.KindDir {
		return e.What | tree.Other
	}
	return e.What
}

func (s *Source) setWatcher(w *watch.Watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watcher = w
}

// unwatch keeps the totals of a watcher that ended.
func (s *Source) unwatch(w *watch.Watcher) {
	s.noteEqual()
	st := w.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before.events += st.Events
	s.before.overflows += st.Overflows
	s.watcher, s.watching = nil, false
}

// watchReady is called when the whole tree is watched: from here on no change
// is missed, so what was missed before is swept now.
func (s *Source) watchReady() {
	s.mu.Lock()
	again := s.started
	s.watching, s.started = true, true
	s.mu.Unlock()
	s.readyOnce.Do(func() { close(s.ready) })
	_, renewed := s.guard.knows()
	for _, r := range s.Replicas() {
		r.watched(again || renewed || s.module.Sweep.AtStart)
	}
	if again && s.told != nil {
		s.told.Mark(tree.Root, tree.Deep, false) // nobody watched meanwhile
	}
}

// Replicas returns the replicas that are marked.
func (s *Source) Replicas() []*Replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replicas
}

// attach begins to mark a replica, and has it swept if the tree is watched
// already.
func (s *Source) attach(r *Replica) {
	s.mu.Lock()
	s.replicas = append(slices.Clip(s.replicas), r)
	watching := s.watching
	s.mu.Unlock()
	if watching {
		r.watched(true)
	}
}

// detach ends marking the target's replica.
func (s *Source) detach(target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replicas = slices.DeleteFunc(slices.Clone(s.replicas), func(r *Replica) bool { return r.target.Name == target })
}

// sees reports whether every change so far was marked: the whole tree is
// watched, and nothing that is known to have changed is still being set up.
func (s *Source) sees() bool {
	s.mu.Lock()
	w, watching := s.watcher, s.watching && s.blocked == ""
	s.mu.Unlock()
	if w == nil || !watching {
		return false
	}
	st := w.Stats()
	return s.events.all && st.Unsettled == 0 && allSeen(st)
}

// growing returns the files at and below p that somebody still writes: each is
// marked once it is complete.
func (s *Source) growing(p tree.Path) []tree.Path {
	s.mu.Lock()
	w := s.watcher
	s.mu.Unlock()
	if w == nil || !s.events.takes(watch.Event{Op: watch.OpCloseWrite, Kind: watch.KindFile}) {
		return nil // its end would mark nothing
	}
	return w.Growing(p)
}

// open opens the root if the guard lets it, and keeps what it said.
func (s *Source) open() (*view, error) {
	v, err := s.guard.open()
	why := ""
	switch {
	case err != nil:
		why = err.Error()
	case len(v.lost) > 0:
		why = lostMounts(s.module.Name, s.module.Path, v)
	}
	s.note(why)
	return v, err
}

// trusted reports whether the target's journal can be about this root: the
// module's journal knew the root, or the target's was written since, by a replica
// that believed nothing older.
func (s *Source) trusted(target string) bool {
	if s.guard.load() != nil {
		return false
	}
	trusted, _ := s.guard.knows()
	s.mu.Lock()
	defer s.mu.Unlock()
	return trusted || s.written[target]
}

// wrote notes that a replica of this source has written the target's journal.
func (s *Source) wrote(target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written[target] = true
}

// look opens the root if the guard lets it and looks a batch up that was taken
// at some time.
func (s *Source) look(b tree.Batch, taken time.Time) (*look, error) {
	return s.shared.share(b, taken, s.open, s.guard.confirm)
}

func lostMounts(module, path string, v *view) string {
	names := make([]string, len(v.lost))
	for i, d := range v.lost {
		names[i] = fmt.Sprintf("%s/%s (%s)", path, d.Path, d.Problem)
	}
	return fmt.Sprintf("nothing is deleted below %s: mount what belongs there, or accept it with \"agent approve --module %s\"", strings.Join(names, ", "), module)
}

// note keeps why the module is blocked. When it no longer is, everybody tries
// again and sweeps, since nobody watched meanwhile.
func (s *Source) note(why string) {
	if why != "" {
		s.noteEqual()
	}
	s.mu.Lock()
	was := s.blocked
	s.blocked = why
	s.mu.Unlock()
	switch {
	case why == was:
	case why != "":
		s.log.Warn("module is blocked", "reason", why)
		poke(s.again)
	default:
		s.log.Info("module is no longer blocked")
		for _, r := range s.Replicas() {
			r.Recover()
			r.Mark(tree.Root, tree.Deep, false)
		}
	}
}

// Blocked returns why the guard blocks the module, or part of it; "" if not.
func (s *Source) Blocked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blocked
}

// schedule asks for the regular sweeps until the returned function is called.
func (s *Source) schedule(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { s.sweepEvery(ctx, s.module.Sweep.Every, false) })
	wg.Go(func() { s.sweepEvery(ctx, s.module.Sweep.ChecksumEvery, true) })
	wg.Go(func() { s.minding(ctx) })
	return func() { cancel(); wg.Wait() }
}

// Snapshot tells the module's state.
func (s *Source) Snapshot() status.Module {
	s.mu.Lock()
	w, totals, blocked, replicas, watching := s.watcher, s.before, s.blocked, s.replicas, s.watching
	s.mu.Unlock()
	m := status.Module{
		Name: s.module.Name, Path: s.module.Path, Watcher: s.module.Watcher, Blocked: blocked,
		Events: totals.events, Overflows: totals.overflows, Targets: []status.Target{},
	}
	unsettled := false
	if w != nil {
		st := w.Stats()
		unsettled = st.Unsettled > 0
		m.Watcher, m.WatcherWhy, m.Watched = st.Backend, st.Why, st.Dirs
		m.Events += st.Events
		m.Overflows += st.Overflows
		m.Blind = st.BlindCount
		for _, p := range st.Blind {
			m.BlindPaths = append(m.BlindPaths, status.Path{Name: string(p)})
		}
	}
	for _, r := range replicas {
		m.Targets = append(m.Targets, r.snapshot(blocked, unsettled))
	}
	if s.told != nil {
		m.State = s.told.state(blocked, watching, unsettled)
	}
	return m
}
