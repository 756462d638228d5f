package watch

import (
	"slices"
	"sync"

	"syncagent/agent/tree"
)

// blindMost bounds the set of subtrees that are not watched.
const blindMost = 1000

// blindSet holds the subtrees that are not watched and why. It is bounded: a
// crowded directory takes the place of what it holds, until all of that is watched.
type blindSet struct {
	mu   sync.Mutex
	subs map[tree.Path]blindness
}

type blindness struct {
	why Cause
	at  uint64 // when it was last found so, by the backend's own count
}

// add says that p was found blind at a time.
func (s *blindSet) add(p tree.Path, why Cause, at uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subs == nil {
		s.subs = make(map[tree.Path]blindness)
	}
	if q, ok := s.covering(p); ok {
		p = q
	}
	for len(s.subs) >= blindMost && p != tree.Root {
		if _, ok := s.subs[p]; ok {
			break
		}
		p = p.Parent()
		s.remove(p, ^uint64(0))
	}
	s.subs[p] = blindness{why, at}
}

// covering returns p or the directory above it that is in the set.
func (s *blindSet) covering(p tree.Path) (q tree.Path, ok bool) {
	for ; len(s.subs) > 0; p = p.Parent() {
		if _, ok := s.subs[p]; ok {
			return p, true
		}
		if p == tree.Root {
			break
		}
	}
	return tree.Root, false
}

// expire forgets p and everything below it that was not found blind since.
func (s *blindSet) expire(p tree.Path, since uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(p, since)
}

func (s *blindSet) remove(p tree.Path, before uint64) {
	for q, b := range s.subs {
		if b.at < before && p.Contains(q) {
			delete(s.subs, q)
		}
	}
}

// cause returns why p is not watched; ok is false when it is.
func (s *blindSet) cause(p tree.Path) (why Cause, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.subs[p]
	return b.why, ok
}

// any reports whether there is a subtree that is not watched.
func (s *blindSet) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.subs) > 0
}

// list returns the subtrees in order.
func (s *blindSet) list() []tree.Path {
	s.mu.Lock()
	defer s.mu.Unlock()
	paths := make([]tree.Path, 0, len(s.subs))
	for p := range s.subs {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, tree.Compare)
	return paths
}
