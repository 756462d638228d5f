package agent

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/hook"
	"syncagent/agent/rsync"
	"syncagent/agent/status"
)

// The targets' states are looked at for hooks some times while a trouble lasts
// that one is told of, within these bounds, and never when there is no hook.
const (
	stateLooks  = 30
	stateOften  = time.Second
	stateSeldom = 10 * time.Second
)

// stateHook is one hook of on_state, running.
type stateHook struct {
	config config.Hook
	*hook.Hook
}

// targetKey names a module on a target.
type targetKey struct{ module, target string }

// trouble is since when a target is in trouble, and which hooks were told.
type trouble struct {
	since time.Time
	last  hook.State
	told  map[string]bool
}

// stateWatch finds out which hooks have to be told of a target's state. It has
// no clock of its own.
type stateWatch struct{ known map[targetKey]*trouble }

// look takes the state of a target and calls tell for each hook that has to
// know. A nil state is a target without trouble.
func (w *stateWatch) look(now time.Time, key targetKey, s *hook.State, hooks []*stateHook, tell func(*stateHook, hook.State)) {
	t := w.known[key]
	switch {
	case s == nil && t == nil:
		return
	case s == nil:
		delete(w.known, key)
		for _, h := range hooks {
			if t.told[h.Name()] {
				tell(h, hook.State{State: "well", Class: t.last.Class, Error: t.last.Error, Since: t.since})
			}
		}
		return
	case t == nil:
		t = &trouble{since: now, told: map[string]bool{}}
		w.known[key] = t
	}
	t.last = *s
	t.last.Since = t.since
	for _, h := range hooks {
		if !t.told[h.Name()] && now.Sub(t.since) >= h.config.After.Std() {
			t.told[h.Name()] = true
			tell(h, t.last)
		}
	}
}

// trouble is the state of a target that takes nothing, nil when it does. blocked
// says why its module is blocked.
func (r *Replica) trouble(blocked string) *hook.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case blocked != "":
		return &hook.State{State: string(status.Blocked), Class: rsync.SourceGone.String(), Error: blocked}
	case r.outage.err == nil:
		return nil
	case r.outage.blocked:
		return &hook.State{State: string(status.Blocked), Class: r.outage.class.String(), Error: r.outage.err.Error()}
	}
	return &hook.State{State: string(status.Backoff), Class: r.outage.class.String(), Error: r.outage.err.Error()}
}

// troubles are those of the module's targets by name, nil for one that is well.
// Without targets the module itself may be blocked, under no name.
func (s *Source) troubles() map[string]*hook.State {
	blocked := s.Blocked()
	list := map[string]*hook.State{}
	for _, r := range s.Replicas() {
		list[r.target.Name] = r.trouble(blocked)
	}
	if s.told == nil {
		return list
	}
	list[""] = nil
	if blocked != "" {
		list[""] = &hook.State{State: string(status.Blocked), Class: rsync.SourceGone.String(), Error: blocked}
	}
	return list
}

// watchStates tells the hooks of on_state until ctx ends.
func (m *Master) watchStates(ctx context.Context) error {
	w := stateWatch{known: map[targetKey]*trouble{}}
	for {
		hooks := m.stateHooks()
		select {
		case <-ctx.Done():
			return nil
		case <-m.stateWake:
			continue
		case <-nextLook(hooks):
		}
		now := time.Now()
		seen := map[targetKey]bool{}
		for _, s := range m.list() {
			for target, trouble := range s.troubles() {
				key := targetKey{s.module.Name, target}
				seen[key] = true
				w.look(now, key, trouble, hooks, func(h *stateHook, state hook.State) {
					h.Offer(hook.Event{Module: key.module, Root: s.module.Path, Target: key.target, Time: now, State: &state})
				})
			}
		}
		for key := range w.known {
			if !seen[key] {
				delete(w.known, key) // removed from the configuration: neither well nor ill
			}
		}
	}
}

// nextLook fires when the states are to be looked at; with no hook it never does.
func nextLook(hooks []*stateHook) <-chan time.Time {
	if len(hooks) == 0 {
		return nil
	}
	shortest := slices.MinFunc(hooks, func(a, b *stateHook) int { return cmp.Compare(a.config.After, b.config.After) })
	return time.After(min(max(shortest.config.After.Std()/stateLooks, stateOften), stateSeldom))
}

func (m *Master) stateHooks() []*stateHook {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.onState
}

// setStateHooks makes the running hooks of on_state those of the configuration.
func (m *Master) setStateHooks(ctx context.Context, hooks []config.Hook) {
	old := map[string]*stateHook{}
	for _, h := range m.stateHooks() {
		old[h.Name()] = h
	}
	var next []*stateHook
	for _, c := range hooks {
		if h := old[c.Name]; h != nil && reflect.DeepEqual(h.config, c) {
			next = append(next, h)
			delete(old, c.Name)
			continue
		}
		m.after.stop(stateKey(c.Name))
		delete(old, c.Name)
		h, err := m.newHook(c)
		if err != nil {
			m.log.Error("hook cannot be set up", "hook", c.Name, "error", err)
			continue
		}
		next = append(next, &stateHook{c, h})
		m.after.start(ctx, stateKey(c.Name), h.Run)
	}
	m.mu.Lock()
	m.onState = next
	m.mu.Unlock()
	poke(m.stateWake)
	for name := range old {
		m.after.stop(stateKey(name))
	}
}

func stateKey(hook string) string { return "on_state " + hook }
