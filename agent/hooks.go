package agent

import (
	"context"
	"iter"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/hook"
	"syncagent/agent/root"
	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// Replicas say what they pushed and go on; everything that a hook costs happens
// behind a list that nobody waits for.

// maxPushed bounds the paths that wait to be handed to a module's hooks.
const maxPushed = 100_000

// awaitEvery is how often paths that some target lacks are looked at again, and
// awaitMost how long that may take: it needs the locks of those that push.
const (
	awaitEvery = time.Second
	awaitMost  = 50 * time.Millisecond
)

// moduleHooks hands what a module's replicas pushed to the module's hooks.
type moduleHooks struct {
	make     func(config.Hook) (*hook.Hook, error)
	replicas func() []*Replica
	below    func(p tree.Path, show func(q tree.Path, dir bool)) // what is in a directory; may be nil
	log      *slog.Logger
	wake     chan struct{}
	crew     *crew // the hooks' workers

	mu      sync.Mutex
	list    []*moduleHook
	pushed  []hook.Event
	waiting int                      // paths in pushed
	lacking map[tree.Path]awaitedPut // for hooks of scope all: what some target may lack
}

// awaitedPut is a path that a target has and another may not have yet.
type awaitedPut struct {
	path  hook.Path
	event hook.Event // without paths
}

// moduleHook is one hook of a module, running.
type moduleHook struct {
	config  config.Hook
	matches func(tree.Path, bool) bool
	*hook.Hook
}

func newModuleHooks(build func(config.Hook) (*hook.Hook, error), replicas func() []*Replica, log *slog.Logger) *moduleHooks {
	return &moduleHooks{
		make: build, replicas: replicas, log: log, wake: make(chan struct{}, 1), crew: newCrew(),
		lacking: map[tree.Path]awaitedPut{},
	}
}

// set makes the running hooks those of the configuration: what did not change
// keeps its queue, what is gone empties it first.
func (m *moduleHooks) set(ctx context.Context, hooks []config.Hook, dir string) {
	m.mu.Lock()
	old := m.list
	m.mu.Unlock()
	var next []*moduleHook
	for _, c := range hooks {
		same := func(h *moduleHook) bool { return reflect.DeepEqual(h.config, c) }
		if i := slices.IndexFunc(old, same); i >= 0 {
			next = append(next, old[i])
			continue
		}
		m.crew.stop(c.Name)
		matches, err := c.Matcher(dir)
		if err == nil {
			var h *hook.Hook
			if h, err = m.make(c); err == nil {
				next = append(next, &moduleHook{c, matches, h})
				m.crew.start(ctx, c.Name, h.Run)
				continue
			}
		}
		m.log.Error("hook cannot be set up", "hook", c.Name, "error", err)
	}
	m.mu.Lock()
	m.list = next
	m.mu.Unlock()
	for _, h := range old {
		if !slices.ContainsFunc(next, func(n *moduleHook) bool { return n.Name() == h.Name() }) {
			m.crew.stop(h.Name())
		}
	}
}

// push takes what a replica did, and asks only if there is a hook that wants to
// know. It never waits.
func (m *moduleHooks) push(did func() []hook.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.list) == 0 {
		return
	}
	for _, e := range did() {
		switch n := len(e.Paths); {
		case n == 0:
		case m.waiting > 0 && m.waiting+n > maxPushed:
			for _, h := range m.list {
				h.Lose(n)
			}
		default:
			m.pushed = append(m.pushed, e)
			m.waiting += n
		}
	}
	poke(m.wake)
}

// Run hands out what was pushed until ctx ends, then what is left, and returns
// when every hook has ended.
func (m *moduleHooks) Run(ctx context.Context) error {
	defer m.crew.stopAll()
	var again <-chan time.Time
	for ctx.Err() == nil {
		if again == nil && len(m.lacking) > 0 {
			again = time.After(awaitEvery)
		}
		all := false
		select {
		case <-ctx.Done():
		case <-m.wake:
		case <-again:
			again, all = nil, true
		}
		m.handOut(all)
	}
	m.handOut(true)
	return nil
}

// handOut gives the hooks what was pushed. A path is everybody's once no target
// has it to do; what was pushed while that was asked belongs to the same answer.
// With a target down there may be many such paths, so it asks for all of them only
// when told to.
func (m *moduleHooks) handOut(all bool) {
	ask := maps.Keys(m.handOutPushed())
	if all {
		ask = maps.Keys(m.lacking)
	}
	everywhere := m.settled(ask)
	m.handOutPushed()
	m.offerAll(everywhere)
}

// handOutPushed gives the hooks of one target what was pushed, and returns the
// paths that now wait for all targets.
func (m *moduleHooks) handOutPushed() map[tree.Path]bool {
	fresh := map[tree.Path]bool{}
	for _, e := range m.take() {
		m.offer(e)
		m.await(e, fresh)
	}
	return fresh
}

func (m *moduleHooks) take() []hook.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	events := m.pushed
	m.pushed, m.waiting = nil, 0
	return events
}

func (m *moduleHooks) hooks() []*moduleHook {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list
}

// offer gives an event of one target to the hooks that want it.
func (m *moduleHooks) offer(e hook.Event) {
	for _, h := range m.hooks() {
		if h.config.Scope != config.ScopeAll && h.wants(e.OK) {
			m.give(h, e)
		}
	}
}

func (h *moduleHook) wants(ok bool) bool {
	return h.config.When == config.WhenAlways || (h.config.When == config.WhenSuccess) == ok
}

// give offers the paths that the hook includes.
func (m *moduleHooks) give(h *moduleHook, e hook.Event) {
	e.Paths = m.listed(h, e)
	if len(h.config.Include)+len(h.config.IncludeRegex) > 0 {
		e.Paths = slices.DeleteFunc(slices.Clone(e.Paths), func(p hook.Path) bool { return !h.matches(p.Path, p.Dir) })
	}
	if len(e.Paths) > 0 {
		h.Offer(e)
	}
}

// await notes paths for the hooks of scope all, and in fresh which. Their number is bounded as a
// hook's queue is.
func (m *moduleHooks) await(e hook.Event, fresh map[tree.Path]bool) {
	var all []*moduleHook
	for _, h := range m.hooks() {
		if h.config.Scope == config.ScopeAll {
			all = append(all, h)
		}
	}
	if len(all) == 0 || !e.OK {
		return
	}
	paths := e.Paths
	e.Paths, e.Target = nil, ""
	for _, p := range paths {
		if _, known := m.lacking[p.Path]; !known && len(m.lacking) >= maxPushed {
			for _, h := range all {
				h.Lose(1)
			}
			continue
		}
		m.lacking[p.Path] = awaitedPut{p, e}
		fresh[p.Path] = true
	}
}

// settled returns those of the paths that no target has to do any more. It takes
// a share of the time at most: the rest is asked for the next time.
func (m *moduleHooks) settled(ask iter.Seq[tree.Path]) []tree.Path {
	var done []tree.Path
	replicas, begun := m.replicas(), time.Now()
	for p := range ask {
		if time.Since(begun) > awaitMost {
			break
		}
		if !slices.ContainsFunc(replicas, func(r *Replica) bool { return r.lacks(p) }) {
			done = append(done, p)
		}
	}
	slices.SortFunc(done, tree.Compare)
	return done
}

// offerAll gives the hooks of scope all what every target has.
func (m *moduleHooks) offerAll(paths []tree.Path) {
	if len(paths) == 0 {
		return
	}
	e := m.lacking[paths[0]].event
	for _, p := range paths {
		e.Paths = append(e.Paths, m.lacking[p].path)
		delete(m.lacking, p)
	}
	for _, h := range m.hooks() {
		if h.config.Scope == config.ScopeAll {
			m.give(h, e)
		}
	}
}

// snapshot tells the state of the hooks.
func (m *moduleHooks) snapshot() []status.Hook {
	var list []status.Hook
	for _, h := range m.hooks() {
		list = append(list, hookStatus(h.config, h.Hook))
	}
	return list
}

func hookStatus(c config.Hook, h *hook.Hook) status.Hook {
	s := h.Stats()
	return status.Hook{
		Name: c.Name, Type: c.Type, Queued: s.Queued, Running: s.Running, Runs: s.Runs, Failed: s.Failed, Retries: s.Retries,
		Dropped: s.Dropped, LastError: s.LastError, LastRun: status.Time{Time: s.LastRun}, Seconds: s.Seconds,
	}
}

// lacks reports whether the target still has something to do at, above or below
// the path, or may have without knowing.
func (r *Replica) lacks(p tree.Path) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.comes(p) || r.unsure.overlaps(p) || r.gate.holds(p) || !r.sweeps.oldest().IsZero() {
		return true
	}
	for q := range r.surplus {
		if overlap(p, q) {
			return true
		}
	}
	return false
}

// comes reports whether the path, or something above or below it, is going to
// be sent, and will be told of then. Needs the lock.
func (r *Replica) comes(p tree.Path) bool {
	if r.lane.lacks(p) || r.bulk.lacks(p) {
		return true
	}
	for q, f := range r.hot.files {
		if f.what != 0 && overlap(p, q) {
			return true
		}
	}
	for q := range r.retries {
		if overlap(p, q) {
			return true
		}
	}
	return false
}

func overlap(p, q tree.Path) bool { return p.Contains(q) || q.Contains(p) }

// tell says to the hooks what a push did: what is confirmed, and what failed.
func (r *Replica) tell(entries []root.Entry, w work, failed []rsync.Failure, dirty map[tree.Path]bool) {
	if r.pushed != nil && (!w.send.Empty() || len(failed) > 0) {
		r.pushed(func() []hook.Event { return r.did(entries, w, failed, dirty) })
	}
}

// did are the events of a push: one of what is confirmed, one of what failed.
func (r *Replica) did(entries []root.Entry, w work, failed []rsync.Failure, dirty map[tree.Path]bool) []hook.Event {
	dirs := make(map[tree.Path]bool, len(entries))
	for _, e := range entries {
		dirs[e.Path] = e.State == root.Present && e.Stat.IsDir() || e.State == root.Missing && (e.Unseen || wasDirectory(e))
	}
	good := hook.Event{Module: r.module.Name, Root: r.module.Path, Target: r.target.Name, OK: true, Time: time.Now()}
	bad := good
	bad.OK = false
	add := func(op hook.Op, paths []tree.Path) {
		for _, p := range paths {
			if !dirty[p] {
				good.Paths = append(good.Paths, hook.Path{Path: p, Op: op, Dir: dirs[p] || op == hook.Tree})
			}
		}
	}
	add(hook.Put, slices.Concat(w.send.Send, w.send.Replace))
	add(hook.Attrs, w.send.Attrs)
	add(hook.Delete, w.send.Gone)
	add(hook.Tree, w.send.Deep)
	for _, f := range failed {
		op := hook.Put
		if w.missing[f.Path] {
			op = hook.Delete
		}
		bad.Paths = append(bad.Paths, hook.Path{Path: f.Path, Op: op, Dir: dirs[f.Path], Error: f.Text})
	}
	return []hook.Event{good, bad}
}
