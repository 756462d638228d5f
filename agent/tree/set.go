package tree

import (
	"iter"
	"slices"
	"strings"
)

// DefaultCap is the number of marks a Set holds before it rolls up.
const DefaultCap = 50_000

// Set is a dirty set: the coalesced marks of one tree. It holds each path at
// most once and nothing below a deep mark. It is not safe for concurrent use.
type Set struct {
	root   *node
	cap    int
	nodes  int    // the root not counted
	born   uint64 // nodes ever made
	rolled int    // directories that became a deep mark since the cap was reached
}

// NewSet returns an empty set that holds at most cap marks; DefaultCap when cap
// is not positive.
func NewSet(cap int) *Set {
	if cap <= 0 {
		cap = DefaultCap
	}
	return &Set{root: &node{}, cap: cap}
}

// Mark adds w to what may differ at p. A deep mark swallows every mark below
// it, and every later one, but keeps that one of them says Other; a mark of
// nothing is none. It costs O(depth of p), amortised.
func (s *Set) Mark(p Path, w What) {
	w = w.implied()
	if w == 0 {
		return
	}
	n, whole := s.reach(p)
	if !whole {
		n.what |= w & Other
		return
	}
	s.add(n, w)
	s.bound()
}

// reach returns the node of p, made if need be, or that of the deep mark which p
// lies below.
func (s *Set) reach(p Path) (n *node, whole bool) {
	n = s.root
	for rest := string(p); rest != ""; {
		if n.what&Deep != 0 {
			return n, false
		}
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		child := n.kids.get(name)
		if child == nil {
			child = s.grow(n, name)
		}
		n = child
	}
	return n, true
}

// grow makes the child called name. The name is copied, for otherwise a
// directory's node would keep alive the whole path that first led through it.
func (s *Set) grow(parent *node, name string) *node {
	s.nodes++
	s.born++
	n := &node{name: strings.Clone(name), parent: parent, born: s.born}
	parent.kids.put(n)
	return n
}

// add marks n, which must be linked into the trie and below no deep mark.
func (s *Set) add(n *node, w What) {
	if n.what == 0 {
		n.count(1)
	}
	n.what |= w
	if w&Deep != 0 {
		n.count(1 - n.total)
		gone, below := n.clear()
		s.nodes -= gone
		n.what |= below & Other
	}
}

// Take returns everything marked and leaves the set empty.
func (s *Set) Take() Batch {
	b := make(Batch, 0, s.Len())
	for m := range s.All() {
		b = append(b, m)
	}
	s.root, s.nodes = &node{}, 0
	return b
}

// Restore puts back what was taken: a union with what was marked since.
func (s *Set) Restore(b Batch) {
	for _, m := range b {
		s.Mark(m.Path, m.What)
	}
}

// Len returns the number of marks held.
func (s *Set) Len() int { return s.root.total }

// Covers reports whether p is marked itself or lies below a deep mark.
func (s *Set) Covers(p Path) bool {
	last, whole := s.follow(p, Deep)
	return last.what&Deep != 0 || whole && last.what != 0
}

// Overlaps reports whether p, one of its ancestors or anything below it is
// marked. Two runs whose paths do not overlap touch no common entry.
func (s *Set) Overlaps(p Path) bool {
	last, whole := s.follow(p, Attrs|Content|Deep)
	return last.what != 0 || whole && last.total > 0
}

// follow walks from the root towards p and stops at the first node marked with
// any of stop, or where the trie ends. It returns the node it came to, and
// whether that is p's.
func (s *Set) follow(p Path, stop What) (last *node, whole bool) {
	n := s.root
	for rest := string(p); rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		child := n.kids.get(name)
		if child == nil || n.what&stop != 0 {
			return n, false
		}
		n = child
	}
	return n, true
}

// All yields the marks in the order of Compare. The set must not change
// meanwhile.
func (s *Set) All() iter.Seq[Mark] {
	return func(yield func(Mark) bool) {
		w := walk{yield: yield, path: make([]byte, 0, 512)}
		w.visit(s.root)
	}
}

// walk is one pass over a trie, in order.
type walk struct {
	yield   func(Mark) bool
	path    []byte  // of the node being visited
	pending []*node // siblings still to be visited, those of the deepest last
}

// visit yields n's mark and those below it. It reports whether to go on.
func (w *walk) visit(n *node) bool {
	if n.what != 0 && !w.yield(Mark{Path: Path(w.path), What: n.what}) {
		return false
	}
	from, length := len(w.pending), len(w.path)
	w.pending = n.kids.appendTo(w.pending)
	to := len(w.pending)
	slices.SortFunc(w.pending[from:], func(a, b *node) int { return strings.Compare(a.name, b.name) })
	if length > 0 {
		w.path = append(w.path, '/')
	}
	base := len(w.path)
	for i := from; i < to; i++ {
		w.path = append(w.path[:base], w.pending[i].name...)
		if !w.visit(w.pending[i]) {
			return false
		}
	}
	w.pending, w.path = w.pending[:from], w.path[:length]
	return true
}
