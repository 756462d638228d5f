package agent

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"syncagent/agent/config"
)

// Reload makes the running master follow another configuration. Only what
// changed is touched; a target that was removed loses its journal, so that it
// starts anew should it come back.
func (m *Master) Reload(ctx context.Context, next *config.Master) error {
	select {
	case <-m.started:
	default:
		return errors.New("reload configuration: the agent is still starting: try again")
	}
	if next.StateDir != m.config.StateDir || next.Socket != m.config.Socket || priority(next) != priority(m.config) {
		return errors.New("reload configuration: state_dir, socket, nice and ionice cannot change while running: restart the agent")
	}
	modules, err := next.Modules()
	if err != nil {
		return err
	}
	if next.Listen != m.config.Listen {
		m.setListen(ctx, next.Listen)
	}
	m.mu.Lock()
	m.config = next
	m.mu.Unlock()
	m.slots.Resize(workers(next))
	m.places.Resize(sweepsAtOnce(next))
	m.setStateHooks(ctx, next.OnState)
	want := map[string]config.Module{}
	for _, mod := range modules {
		want[mod.Name] = mod
	}
	for _, s := range m.list() {
		mod, keep := want[s.module.Name]
		delete(want, s.module.Name)
		m.reloadModule(ctx, s, mod, keep)
	}
	for _, mod := range modules {
		if _, fresh := want[mod.Name]; fresh {
			m.log.Info("module added", "module", mod.Name)
			m.startModule(ctx, mod, false)
		}
	}
	return nil
}

func (m *Master) reloadModule(ctx context.Context, s *Source, next config.Module, keep bool) {
	name := s.module.Name
	switch {
	case !keep:
		m.log.Info("module removed", "module", name)
		m.stopModule(s)
		for _, t := range s.module.Targets {
			m.forget(name, t.Name)
		}
	case !sameSource(s.module, next):
		m.log.Info("module changed", "module", name)
		m.stopModule(s)
		m.forgetRemoved(s.module, next)
		m.startModule(ctx, next, true)
	default:
		m.reloadTargets(ctx, s, next)
	}
}

// sameSource reports whether a module differs at most in its targets and hooks,
// and has any targets or none as before.
func sameSource(a, b config.Module) bool {
	if (len(a.Targets) == 0) != (len(b.Targets) == 0) {
		return false
	}
	a.Targets, b.Targets = nil, nil
	a.Hooks, b.Hooks = nil, nil
	rules := a.Rules.Equal(b.Rules)
	a.Rules, b.Rules = nil, nil
	rules = rules && a.SweepRules.Equal(b.SweepRules)
	a.SweepRules, b.SweepRules = nil, nil
	a.Sweep.Concurrency, b.Sweep.Concurrency = 0, 0 // counts for all modules together
	return rules && reflect.DeepEqual(a, b)
}

func (m *Master) reloadTargets(ctx context.Context, s *Source, next config.Module) {
	s.hooks.set(ctx, next.Hooks, next.Path)
	s.module.Hooks = next.Hooks
	old := s.module.Targets
	for _, t := range old {
		if !hasTarget(next.Targets, t) {
			m.log.Info("target removed or changed", "module", next.Name, "target", t.Name)
			m.stopReplica(s, t)
		}
	}
	m.forgetRemoved(s.module, next)
	s.module.Targets = next.Targets
	for _, r := range s.Replicas() {
		r.Recover() // whoever reloads has mended something
	}
	for _, t := range next.Targets {
		if !hasTarget(old, t) {
			m.log.Info("target added", "module", next.Name, "target", t.Name)
			m.startReplica(ctx, s, t)
		}
	}
}

func hasTarget(list []config.Target, t config.Target) bool {
	return slices.ContainsFunc(list, func(o config.Target) bool { return reflect.DeepEqual(o, t) })
}

func (m *Master) forgetRemoved(old, next config.Module) {
	for _, t := range old.Targets {
		named := func(o config.Target) bool { return o.Name == t.Name }
		if !slices.ContainsFunc(next.Targets, named) {
			m.forget(old.Name, t.Name)
		}
	}
}

func (m *Master) forget(module, target string) {
	if err := m.store.RemoveTarget(module, target); err != nil {
		m.log.Warn("journal of a removed target cannot be removed", "module", module, "target", target, "error", err)
	}
}
