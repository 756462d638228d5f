package watch

import (
	"slices"
	"sync"

	"syncagent/agent/tree"
)

// blindMost bounds the set of subtrees that are not watched.
const blindMost = 1000

// blindSet holds the subtrees that are not watched and why. It is bounded: a
// crowded directory takes the place of what it holds.
type blindSet struct {
	mu  sync.Mutex
	why map[tree.Path]Cause
}

func (s *blindSet) add(p tree.Path, why Cause) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil {
		s.why = make(map[tree.Path]Cause)
	}
	if s.covers(p) {
		return
	}
	for len(s.why) >= blindMost && p != tree.Root {
		p = p.Parent()
		s.remove(p)
	}
	s.why[p] = why
}

// covers reports whether p or a directory above it is in the set.
func (s *blindSet) covers(p tree.Path) bool {
	for ; len(s.why) > 0; p = p.Parent() {
		if _, ok := s.why[p]; ok {
			return true
		}
		if p == tree.Root {
			return false
		}
	}
	return false
}

// clear forgets p and everything below it.
func (s *blindSet) clear(p tree.Path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(p)
}

func (s *blindSet) remove(p tree.Path) {
	for q := range s.why {
		if p.Contains(q) {
			delete(s.why, q)
		}
	}
}

// cause returns why p is not watched; ok is false when it is.
func (s *blindSet) cause(p tree.Path) (why Cause, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	why, ok = s.why[p]
	return why, ok
}

// list returns the subtrees in order.
func (s *blindSet) list() []tree.Path {
	s.mu.Lock()
	defer s.mu.Unlock()
	paths := make([]tree.Path, 0, len(s.why))
	for p := range s.why {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, tree.Compare)
	return paths
}
