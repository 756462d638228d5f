package tree

import (
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-cmp/cmp"
)

// model is a dirty set without a trie, a cap or a care for time.
type model map[Path]What

func (m model) mark(p Path, w What) {
	if w = w.implied(); w != 0 {
		m[p] |= w
	}
}

// minimal returns what a set without a cap must hand out.
func (m model) minimal() Batch {
	b := Batch{}
	for _, p := range slices.SortedFunc(maps.Keys(m), Compare) {
		if !m.swallowed(p) {
			b = append(b, Mark{p, m[p] | m.below(p)})
		}
	}
	return b
}

// below returns what a deep mark of p keeps of those below it.
func (m model) below(p Path) (w What) {
	for q := range m {
		if m[p]&Deep != 0 && p.Contains(q) {
			w |= m[q] & Other
		}
	}
	return w
}

func (m model) swallowed(p Path) bool {
	for p != Root {
		p = p.Parent()
		if m[p]&Deep != 0 {
			return true
		}
	}
	return false
}

// harness runs one set beside its model.
type harness struct {
	set   *Set
	model model
	taken Batch
	cap   int
}

func newHarness(limit int) *harness {
	return &harness{set: NewSet(limit), model: model{}, cap: limit}
}

func (h *harness) mark(p Path, w What) {
	h.set.Mark(p, w)
	h.model.mark(p, w)
}

func (h *harness) restore() {
	h.set.Restore(h.taken)
	for _, m := range h.taken {
		h.model.mark(m.Path, m.What)
	}
	h.taken = nil
}

// take checks the batch against the model, then starts both anew.
func (h *harness) take() error {
	rolled := h.set.rolled > 0
	b := h.set.Take()
	if h.set.Len() != 0 || h.set.nodes != 0 {
		return fmt.Errorf("%d marks, %d nodes are left after Take", h.set.Len(), h.set.nodes)
	}
	want := h.model.minimal()
	if diff := cmp.Diff(want, b); diff != "" && !rolled {
		return fmt.Errorf("batch (-want +got):\n%s", diff)
	}
	h.taken, h.model = append(h.taken, b...), model{}
	return nil
}

// check tests what must hold at any time.
func (h *harness) check() error {
	b := Batch(slices.Collect(h.set.All()))
	if len(b) != h.set.Len() || len(b) > h.cap {
		return fmt.Errorf("%d marks, Len %d, cap %d", len(b), h.set.Len(), h.cap)
	}
	for i, m := range b {
		if m.What == 0 || m.What != m.What.implied() {
			return fmt.Errorf("%q is marked %q", m.Path, m.What)
		}
		if i > 0 && Compare(b[i-1].Path, m.Path) >= 0 {
			return fmt.Errorf("%q stands before %q", b[i-1].Path, m.Path)
		}
		if i > 0 && b[i-1].What&Deep != 0 && b[i-1].Path.Contains(m.Path) {
			return fmt.Errorf("%q stands below deep %q", m.Path, b[i-1].Path)
		}
	}
	for p, w := range h.model {
		if err := h.covered(b, p, w); err != nil {
			return err
		}
	}
	return h.intact()
}

// covered checks one path that was marked w and not yet taken.
func (h *harness) covered(b Batch, p Path, w What) error {
	if !h.set.Covers(p) || !h.set.Overlaps(p) {
		return fmt.Errorf("%q is uncovered", p)
	}
	for _, m := range b {
		if m.Path == p && m.What&w == w || m.What&(Deep|w&Other) == Deep|w&Other && m.Path.Contains(p) {
			return nil
		}
	}
	return fmt.Errorf("%q lost %q", p, w)
}

// probe compares Covers and Overlaps with their definitions.
func (h *harness) probe(p Path) error {
	var covers, overlaps bool
	for m := range h.set.All() {
		covers = covers || m.Path == p || m.What&Deep != 0 && m.Path.Contains(p)
		overlaps = overlaps || m.Path.Contains(p) || p.Contains(m.Path)
	}
	if got := h.set.Covers(p); got != covers {
		return fmt.Errorf("Covers(%q) is %v", p, got)
	}
	if got := h.set.Overlaps(p); got != overlaps {
		return fmt.Errorf("Overlaps(%q) is %v", p, got)
	}
	return nil
}

// intact recounts what the trie counts as it goes.
func (h *harness) intact() error {
	nodes := -1
	var look func(n *node) (int, error)
	look = func(n *node) (total int, err error) {
		nodes++
		if n.what != 0 {
			total++
		}
		ones := 0
		for c := range n.kids.all() {
			t, err := look(c)
			if err != nil {
				return 0, err
			}
			if total += t; t == 1 {
				ones++
			}
		}
		if n.total != total || n.ones != ones || total == 0 && n.parent != nil {
			return 0, fmt.Errorf("node %q counts %d, %d instead of %d, %d", n.name, n.total, n.ones, total, ones)
		}
		return total, nil
	}
	if _, err := look(h.set.root); err != nil {
		return err
	}
	if nodes != h.set.nodes {
		return fmt.Errorf("%d nodes are counted, there are %d", h.set.nodes, nodes)
	}
	return nil
}
