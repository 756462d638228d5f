package agent

import (
	"slices"

	"syncagent/agent/config"
	"syncagent/agent/hook"
	"syncagent/agent/root"
	"syncagent/agent/tree"
)

// lists reports whether a hook is given what is in a directory in place of the
// directory that went as a whole: where it chooses by name it would else miss
// what it wants, and sersync's forms cannot say that all below is meant.
func lists(c config.Hook) bool {
	legacy := c.Prefix != "" || c.Format == config.FormatPath || c.Format == config.FormatForm
	return legacy || len(c.Include)+len(c.IncludeRegex) > 0 || c.Match != ""
}

// listed returns the event's paths with each directory that went as a whole
// followed by what is in it now, but for what is still to be sent: of that will
// be told then. Beyond the hook's queue it only counts what it wants.
func (m *moduleHooks) listed(h *moduleHook, e hook.Event) []hook.Path {
	paths := e.Paths
	if m.below == nil || !lists(h.config) || !slices.ContainsFunc(paths, isTree) {
		return paths
	}
	var targets []*Replica
	for _, r := range m.replicas() {
		if e.Target == "" || r.target.Name == e.Target {
			targets = append(targets, r)
		}
	}
	var all []hook.Path
	beyond := 0
	chooses := len(h.config.Include)+len(h.config.IncludeRegex) > 0
	add := func(p hook.Path) {
		if chooses && p.Path == tree.Root { // which no rule can name
			return
		}
		if !h.matches(p.Path, p.Dir) {
			return
		}
		if len(all) >= max(h.config.Queue, len(paths)) {
			beyond++
			return
		}
		all = append(all, p)
	}
	for _, p := range paths {
		add(p)
		if isTree(p) {
			m.below(p.Path, func(q tree.Path, dir bool) {
				if !slices.ContainsFunc(targets, func(r *Replica) bool { return r.awaits(q) }) {
					add(hook.Path{Path: q, Op: hook.Put, Dir: dir})
				}
			})
		}
	}
	h.Lose(beyond)
	return all
}

func isTree(p hook.Path) bool { return p.Op == hook.Tree }

// awaits is comes with the lock taken.
func (r *Replica) awaits(p tree.Path) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.comes(p)
}

// below shows what the rules leave of what is below p. A root that is blocked
// shows nothing: what is in it is told once it no longer is.
func (s *Source) below(p tree.Path, show func(q tree.Path, dir bool)) {
	v, err := s.open()
	if err != nil {
		s.log.Debug("directory cannot be listed for hooks", "path", string(p), "error", err)
		return
	}
	defer v.Close()
	v.Below(p, func(q tree.Path, stat root.Stat) bool {
		if s.module.Rules.Excludes(q, stat.IsDir()) {
			return false
		}
		show(q, stat.IsDir())
		return true
	})
}
