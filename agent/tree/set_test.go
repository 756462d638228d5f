package tree

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// marks fills a set of the default cap.
func marks(ms ...Mark) *Set {
	s := NewSet(0)
	s.Restore(ms)
	return s
}

func TestSetMark(t *testing.T) {
	all, content := Deep|Content|Attrs, Content|Attrs
	for _, c := range []struct {
		name string
		give []Mark
		want Batch
	}{
		{"nothing", nil, Batch{}},
		{"no bits is no mark", []Mark{{"a", 0}, {"a", 1 << 7}}, Batch{}},
		{"once a path", []Mark{{"a", Attrs}, {"a", Attrs}}, Batch{{"a", Attrs}}},
		{"bits add up", []Mark{{"a", Content}, {"a", Attrs}}, Batch{{"a", content}}},
		{"content implies attrs", []Mark{{"a", Content}}, Batch{{"a", content}}},
		{"deep implies both", []Mark{{"a", Deep}}, Batch{{"a", all}}},
		{"a shallow mark swallows nothing", []Mark{{"a", Content}, {"a/b", Attrs}}, Batch{{"a", content}, {"a/b", Attrs}}},
		{"deep swallows what is below", []Mark{{"a/b/c", Attrs}, {"a/b", Attrs}, {"a", Deep}}, Batch{{"a", all}}},
		{"deep swallows what comes", []Mark{{"a", Deep}, {"a/b/c", Content}, {"a/b", Deep}}, Batch{{"a", all}}},
		{"deep spares a namesake", []Mark{{"ab", Attrs}, {"a/c", Attrs}, {"a", Deep}}, Batch{{"a", all}, {"ab", Attrs}}},
		{"deep stays deep", []Mark{{"a", Deep}, {"a", Attrs}}, Batch{{"a", all}}},
		{"the root", []Mark{{"a", Attrs}, {Root, Attrs}}, Batch{{Root, Attrs}, {"a", Attrs}}},
		{"the root deep", []Mark{{"a", Attrs}, {Root, Deep}, {"b", Content}}, Batch{{Root, all}}},
		{
			"in order",
			[]Mark{{"b", Attrs}, {"a.b", Attrs}, {"a/b", Attrs}, {"a", Attrs}, {"a-b", Attrs}},
			Batch{{"a", Attrs}, {"a/b", Attrs}, {"a-b", Attrs}, {"a.b", Attrs}, {"b", Attrs}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := marks(c.give...)
			if s.Len() != len(c.want) {
				t.Errorf("Len is %d, want %d", s.Len(), len(c.want))
			}
			if diff := cmp.Diff(c.want, s.Take()); diff != "" {
				t.Errorf("Take (-want +got):\n%s", diff)
			}
			if rest := s.Take(); len(rest) != 0 || s.Len() != 0 {
				t.Errorf("after Take the set still holds %v", rest)
			}
		})
	}
}

func TestSetCoversAndOverlaps(t *testing.T) {
	s := marks(Mark{"a/b", Attrs}, Mark{"a/d", Deep}, Mark{"x/y/z", Content})
	for _, c := range []struct {
		path             Path
		covers, overlaps bool
	}{
		{Root, false, true},
		{"a", false, true},
		{"a/b", true, true},
		{"a/b/c", false, true},
		{"a/c", false, false},
		{"a/bb", false, false},
		{"a/d", true, true},
		{"a/d/e/f", true, true},
		{"a/dd", false, false},
		{"x", false, true},
		{"x/y", false, true},
		{"x/y/z", true, true},
		{"y", false, false},
	} {
		if got := s.Covers(c.path); got != c.covers {
			t.Errorf("Covers(%q) is %v", c.path, got)
		}
		if got := s.Overlaps(c.path); got != c.overlaps {
			t.Errorf("Overlaps(%q) is %v", c.path, got)
		}
	}
	if empty := NewSet(0); empty.Covers(Root) || empty.Overlaps(Root) {
		t.Error("an empty set covers or overlaps the root")
	}
	if deep := marks(Mark{Root, Deep}); !deep.Covers("a/b") || !deep.Overlaps("a") {
		t.Error("a deep root does not cover everything")
	}
}

func TestSetAllStopsAndKeeps(t *testing.T) {
	s := marks(Mark{"a", Attrs}, Mark{"b/c", Attrs}, Mark{"d", Attrs})
	for m := range s.All() {
		if m.Path == "b/c" {
			break
		}
	}
	if got := slices.Collect(s.All()); len(got) != 3 || s.Len() != 3 {
		t.Errorf("All took marks away: %v are left", got)
	}
}

func TestSetRestoreIsAUnion(t *testing.T) {
	s := marks(Mark{"a/b", Content}, Mark{"c", Attrs}, Mark{"d/e", Attrs})
	taken := s.Take()
	s.Mark("c", Content)
	s.Mark("a", Deep)
	s.Mark("d", Attrs)
	s.Restore(taken)
	want := Batch{{"a", Deep.implied()}, {"c", Content | Attrs}, {"d", Attrs}, {"d/e", Attrs}}
	if diff := cmp.Diff(want, s.Take()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSetRollsUp(t *testing.T) {
	spread := func(format string, n int) (ms []Mark) {
		for i := range n {
			ms = append(ms, Mark{Path(fmt.Sprintf(format, i)), Content})
		}
		return ms
	}
	deep := func(p Path) Mark { return Mark{p, Deep.implied()} }
	for _, c := range []struct {
		name string
		give []Mark
		deep []Mark // every deep mark afterwards
	}{
		{
			"the crowded directory only",
			slices.Concat(spread("big/%d", 80), spread("small/%d", 30)),
			[]Mark{deep("big")},
		},
		{
			"a crowd in spite of a subdirectory",
			slices.Concat(spread("big/sub/%d", 5), spread("big/%d", 80), spread("x%d/y", 30)),
			[]Mark{deep("big")},
		},
		{
			"the ancestor when there is one a directory",
			slices.Concat(spread("a/%d/x", 60), spread("b/%d/x/y", 45)),
			[]Mark{deep("a")},
		},
		{
			"a few files in the root do not make everything deep",
			slices.Concat(spread("%d", 9), spread("a/%d/x/y", 92)),
			[]Mark{deep("a")},
		},
		{
			"the root last",
			slices.Concat(spread("%d", 60), spread("a/%d", 41)),
			[]Mark{deep("a")},
		},
		{"the root if nothing else helps", spread("%d", 101), []Mark{deep(Root)}},
		{"the root of lone chains", spread("%d/a/b", 101), []Mark{deep(Root)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewSet(100)
			s.Restore(c.give)
			var got []Mark
			for m := range s.All() {
				if m.What&Deep != 0 {
					got = append(got, m)
				}
			}
			if diff := cmp.Diff(c.deep, got); diff != "" {
				t.Errorf("deep marks (-want +got):\n%s", diff)
			}
			if s.rolled != len(c.deep) {
				t.Errorf("rolled is %d, want %d", s.rolled, len(c.deep))
			}
		})
	}
}

// TestSetBoundsNodes marks few paths that are long and share nothing: the marks
// alone would never reach the cap.
func TestSetBoundsNodes(t *testing.T) {
	s := NewSet(1000)
	for i := range 900 {
		p := Path(fmt.Sprint(i))
		for range 100 {
			p = p.Join("d")
		}
		s.Mark(p, Attrs)
		if limit := nodesPerMark*1000 + spareNodes; s.nodes > limit {
			t.Fatalf("%d nodes are held, more than %d", s.nodes, limit)
		}
		if !s.Covers(p) {
			t.Fatalf("%q is not covered", p)
		}
	}
}

// TestSetStaysCheap counts how often the set looks at all its nodes while far more
// marks arrive than the cap allows. Each look must be paid for by a quarter of
// the cap in new marks, or the cost of a mark would grow with the set.
func TestSetStaysCheap(t *testing.T) {
	const limit = 2000
	for _, format := range []string{"d/%[1]d", "%[1]d/x", "%[2]d/%[1]d", "%[2]d/%[1]d/x/y", "%[3]d/%[2]d/%[1]d"} {
		s := NewSet(limit)
		bursts := 0
		for i := range 50 * limit {
			before := s.Len()
			s.Mark(Path(fmt.Sprintf(format, i, i/50, i/1000)), Content)
			if s.Len() < before {
				bursts++
			}
		}
		if most := 50*4 + 1; bursts > most {
			t.Errorf("%s: rolled up in %d bursts, more than %d", format, bursts, most)
		}
	}
}

// genPath draws paths that often are each other's ancestors.
func genPath() *rapid.Generator[Path] {
	name := rapid.SampledFrom([]string{"a", "b", "ab", "a-", "c", "\xff", " ", "d1", "d2", "d3", "d4", "d5", "d6"})
	return rapid.Custom(func(t *rapid.T) Path {
		p := Root
		for range rapid.IntRange(0, 5).Draw(t, "depth") {
			p = p.Join(name.Draw(t, "name"))
		}
		return p
	})
}

func TestSetProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHarness(rapid.SampledFrom([]int{1, 2, 3, 7, 20, 1000}).Draw(t, "cap"))
		path, what := genPath(), rapid.SampledFrom([]What{Attrs, Attrs, Content, Content, Content, Deep, 0})
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"mark": func(t *rapid.T) { h.mark(path.Draw(t, "path"), what.Draw(t, "what")) },
			"burst": func(t *rapid.T) {
				dir := path.Draw(t, "dir")
				for i := range rapid.IntRange(1, 30).Draw(t, "n") {
					h.mark(dir.Join(fmt.Sprint(i)), Content)
				}
			},
			"take":    func(*rapid.T) { must(h.take()) },
			"restore": func(*rapid.T) { h.restore() },
			"probe":   func(t *rapid.T) { must(h.probe(path.Draw(t, "path"))) },
			"":        func(*rapid.T) { must(h.check()) },
		})
	})
}

// FuzzSet reads operations off the input: one byte says what, the next how deep
// the path is, then one byte a component.
func FuzzSet(f *testing.F) {
	f.Add(uint8(3), []byte{0, 2, 'a', 'b', 1, 1, 'a', 2, 0, 4, 5})
	f.Add(uint8(200), []byte{0, 3, 'a', 'b', 'c', 0, 3, 'a', 'b', 'd', 4, 2, 1, 'a', 5, 3, 0})
	f.Fuzz(func(t *testing.T, limit uint8, ops []byte) {
		h := newHarness(int(limit) + 1)
		for len(ops) >= 2 && len(ops) < 1000 {
			op, p := ops[0]%6, Root
			depth := min(int(ops[1]%8), len(ops)-2)
			for _, b := range ops[2 : 2+depth] {
				p = p.Join(fmt.Sprint(b % 16))
			}
			ops = ops[2+depth:]
			var err error
			switch op {
			case 4:
				err = h.take()
			case 5:
				h.restore()
			default:
				h.mark(p, [...]What{Attrs, Content, Deep, Attrs | Content}[op])
				err = h.probe(p.Parent())
			}
			if err == nil {
				err = h.check()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
