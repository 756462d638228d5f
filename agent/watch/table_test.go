package watch

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"syncagent/agent/tree"
)

// modelEntry is what a naive table says of a directory.
type modelEntry struct {
	id   inode
	seen uint64
}

// TestTableModel compares the table with a map of paths.
func TestTableModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, model := newTable(), map[tree.Path]modelEntry{tree.Root: {}}
		var clock uint64
		path := rapid.Custom(func(t *rapid.T) tree.Path {
			p := tree.Root
			for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab"}), 0, 3).Draw(t, "names") {
				p = p.Join(name)
			}
			return p
		})
		t.Repeat(map[string]func(*rapid.T){
			"reserve": func(t *rapid.T) {
				p := path.Draw(t, "path")
				clock++
				table.reserve(p, clock)
				for q := p; q != tree.Root; q = q.Parent() {
					if _, ok := model[q]; !ok {
						model[q] = modelEntry{}
					}
				}
				model[p] = modelEntry{model[p].id, clock}
			},
			"claim": func(t *rapid.T) {
				p, id := path.Draw(t, "path"), inode{1, rapid.Uint64Range(1, 4).Draw(t, "ino")}
				_, owned := table.owner(id)
				if e, ok := model[p]; ok && !owned && e.id == (inode{}) {
					table.claim(p, id)
					model[p] = modelEntry{id, e.seen}
				}
			},
			"release": func(t *rapid.T) {
				p := path.Draw(t, "path")
				e, ok := model[p]
				if got, want := table.release(p), ok && e.id != (inode{}); got != want {
					t.Fatalf("release of %q: %v, want %v", p, got, want)
				}
				if ok {
					model[p] = modelEntry{seen: e.seen}
				}
			},
			"prune": func(t *rapid.T) {
				p, before := path.Draw(t, "path"), rapid.Uint64Range(0, clock+1).Draw(t, "before")
				got, want := table.prune(p, before), pruneModel(model, p, before)
				slices.Sort(got)
				if d := cmp.Diff(want, got); d != "" {
					t.Fatalf("dropped by prune of %q (-want +got):\n%s", p, d)
				}
			},
			"": func(t *rapid.T) { compareTable(t, table, model) },
		})
	})
}

// pruneModel is prune on the map, deepest paths first.
func pruneModel(model map[tree.Path]modelEntry, p tree.Path, before uint64) (dropped []tree.Path) {
	var below []tree.Path
	for q := range model {
		if p.Contains(q) {
			below = append(below, q)
		}
	}
	slices.SortFunc(below, func(a, b tree.Path) int { return tree.Compare(b, a) })
	for _, q := range below {
		e := model[q]
		if e.seen >= before {
			continue
		}
		if e.id != (inode{}) {
			dropped = append(dropped, q)
		}
		model[q] = modelEntry{seen: e.seen}
		holds := func(r tree.Path) bool { return r != q && q.Contains(r) }
		if q != tree.Root && !slices.ContainsFunc(below, func(r tree.Path) bool { _, ok := model[r]; return ok && holds(r) }) {
			delete(model, q)
		}
	}
	slices.Sort(dropped)
	return dropped
}

func compareTable(t *rapid.T, table *table, model map[tree.Path]modelEntry) {
	watched := 0
	for _, p := range []tree.Path{"", "a", "b", "ab", "a/a", "a/b", "ab/a", "a/a/a", "b/ab/a", "a/b/ab"} {
		e, ok := model[p]
		if table.known(p) != ok || table.seen(p) != e.seen {
			t.Fatalf("%q: known %v, seen %d; want %v, %d", p, table.known(p), table.seen(p), ok, e.seen)
		}
	}
	for p, e := range model {
		if e.id == (inode{}) {
			continue
		}
		watched++
		if q, ok := table.owner(e.id); !ok || q != p {
			t.Fatalf("%v is owned by %q, %v; want %q", e.id, q, ok, p)
		}
	}
	if table.watched() != watched {
		t.Fatalf("%d watched, want %d", table.watched(), watched)
	}
}

func TestJobs(t *testing.T) {
	q := newJobs()
	for _, j := range []job{{"a", Appeared, 1}, {"b", Lost, 2}, {"a", Lost, 3}, {"b", Mounted, 4}} {
		q.put(j)
	}
	want := []job{{"a", Appeared, 3}, {"b", Mounted, 4}}
	for i, w := range want {
		<-q.wake
		if j, ok := q.next(); !ok || j != w {
			t.Errorf("job %d: %v, %v; want %v", i, j, ok, w)
		}
		if more := len(q.wake) == 1; more != (i+1 < len(want)) {
			t.Errorf("after job %d: awake %v", i, more)
		}
	}
	if j, ok := q.next(); ok {
		t.Errorf("job %v, want none", j)
	}
}
