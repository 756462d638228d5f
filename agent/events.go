package agent

import (
	"slices"

	"syncagent/agent/config"
	"syncagent/agent/tree"
	"syncagent/agent/watch"
)

// selection is which of the kernel's reports mark anything.
type selection struct {
	all         bool
	files, dirs watch.Op
}

// selected reads a module's events. A new directory stands for what is in it,
// which may have no report of its own: it marks when new or changed files do.
func selected(names []string) selection {
	has := func(name string) bool { return slices.Contains(names, name) }
	s := selection{all: len(names) == 0}
	for _, o := range []struct {
		name        string
		files, dirs watch.Op
	}{
		{config.EventCreateFile, watch.OpCreate, watch.OpCreate},
		{config.EventCreateFolder, 0, watch.OpCreate},
		{config.EventCloseWrite, watch.OpCloseWrite, watch.OpCreate},
		{config.EventModify, watch.OpModify, watch.OpCreate},
		{config.EventAttrib, watch.OpAttrib, watch.OpAttrib},
		{config.EventMoveFrom, watch.OpMoveFrom, watch.OpMoveFrom},
		{config.EventMoveTo, watch.OpMoveTo, watch.OpMoveTo},
		{config.EventDelete, watch.OpDelete, watch.OpDelete},
	} {
		if has(o.name) {
			s.files |= o.files
			s.dirs |= o.dirs
		}
	}
	return s
}

// takes reports whether an event marks. What the watcher itself finds in doubt
// always does.
func (s selection) takes(e watch.Event) bool {
	if s.all || e.Op == 0 {
		return true
	}
	wanted := s.files | s.dirs
	switch e.Kind {
	case watch.KindFile:
		wanted = s.files
	case watch.KindDir:
		wanted = s.dirs
	}
	return e.Op&wanted != 0
}

// excluded reports whether the rules leave out what an event is about, whatever
// it may be.
func (s *Source) excluded(e watch.Event) bool {
	if e.Path == tree.Root {
		return false
	}
	file := e.Kind == watch.KindDir || s.module.Rules.Excludes(e.Path, false)
	return file && (e.Kind == watch.KindFile || s.module.Rules.Excludes(e.Path, true))
}
