package root

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"syncagent/agent/tree"
)

// model is a tree as a plain list of what is in it.
type model map[tree.Path]string // "/" for a directory, "" for a file, " -> x" for a link

func drawModel(t *rapid.T) model {
	tr := model{}
	dirs := []tree.Path{tree.Root}
	for range rapid.IntRange(0, 15).Draw(t, "entries") {
		p := rapid.SampledFrom(dirs).Draw(t, "in").Join(drawName(t))
		if _, ok := tr[p]; ok {
			continue
		}
		tr[p] = rapid.SampledFrom([]string{"/", "/", "/", "", " -> .", " -> ../outside", " -> a"}).Draw(t, "kind")
		if tr[p] == "/" {
			dirs = append(dirs, p)
		}
	}
	return tr
}

// drawName draws bytes that sort before, at and after the slash.
func drawName(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "a b", "a.", "b", "\xff"}).Draw(t, "name")
}

// drawBatch draws marks of what is there and of what is not, each path once.
func drawBatch(t *rapid.T, tr model) tree.Batch {
	known := append([]tree.Path{tree.Root}, slices.SortedFunc(maps.Keys(tr), tree.Compare)...)
	what := map[tree.Path]tree.What{}
	for range rapid.IntRange(0, 20).Draw(t, "marks") {
		p := rapid.SampledFrom(known).Draw(t, "below")
		for range rapid.IntRange(0, 2).Draw(t, "down") {
			p = p.Join(drawName(t))
		}
		if p != tree.Root || rapid.IntRange(0, 9).Draw(t, "root") == 0 {
			what[p] |= tree.What(rapid.IntRange(1, 7).Draw(t, "what"))
		}
	}
	var b tree.Batch
	for p, w := range what {
		b = append(b, m(p, w))
	}
	slices.SortFunc(b, func(x, y tree.Mark) int { return tree.Compare(x.Path, y.Path) })
	return b
}

func (tr model) isDir(p tree.Path) bool { return p == tree.Root || tr[p] == "/" }

// top returns the entry that answers for p, and whether it is there: p, or the first
// ancestor that is missing or no directory.
func (tr model) top(p tree.Path) (tree.Path, bool) {
	at := tree.Root
	for part := range strings.SplitSeq(string(p), "/") {
		if !tr.isDir(at) || p == tree.Root {
			return at, true
		}
		at = at.Join(part)
		if _, ok := tr[at]; !ok {
			return at, false
		}
	}
	return at, true
}

// lookup says what Lookup must, mark by mark and by definition.
func (tr model) lookup(b tree.Batch) []string {
	var deepDirs []tree.Path
	for _, mk := range b {
		if top, ok := tr.top(mk.Path); ok && top == mk.Path && tr.isDir(top) && mk.What&deep != 0 {
			deepDirs = append(deepDirs, top)
		}
	}
	want := map[tree.Path]*Entry{}
	for _, mk := range b {
		path, there := tr.top(mk.Path)
		for _, d := range deepDirs {
			if d.Contains(path) {
				path, there = d, true
				break
			}
		}
		e := want[path]
		if e == nil {
			e = &Entry{Path: path, State: Missing}
			want[path] = e
		}
		e.Marks++
		own := mk.Path == path
		switch {
		case !there:
			e.What |= content
			if own {
				e.What |= mk.What
			} else {
				e.What |= deep
			}
			e.Unseen = e.Unseen || mk.What&deep != 0
		case tr.isDir(path):
			e.State, e.Stat.Mode = Present, unix.S_IFDIR
			if own {
				e.What |= mk.What
			}
		default:
			e.State, e.Stat.Mode = Present, unix.S_IFREG
			if tr[path] != "" {
				e.Stat.Mode = unix.S_IFLNK
			}
			if own {
				e.What |= mk.What & (attrs | content)
			}
			if !own || mk.What&deep != 0 {
				e.What |= content
			}
		}
	}
	out := []string{}
	for _, p := range slices.SortedFunc(maps.Keys(want), tree.Compare) {
		out = append(out, brief(*want[p]))
	}
	return out
}

func TestLookupModel(t *testing.T) {
	base, _ := scratch(t)
	var n int
	rapid.Check(t, func(rt *rapid.T) {
		n++
		dir := filepath.Join(base, fmt.Sprint(n), "root")
		grow(t, filepath.Dir(dir), "root/", "outside/a", "outside/b/a")
		tr := drawModel(rt)
		for _, p := range slices.SortedFunc(maps.Keys(tr), tree.Compare) {
			if err := growOne(dir, string(p)+tr[p]); err != nil {
				rt.Fatal(err)
			}
		}
		batch := drawBatch(rt, tr)
		r, err := Open(dir)
		if err != nil {
			rt.Fatal(err)
		}
		defer r.Close()
		r.openat2 = rapid.Bool().Draw(rt, "openat2")
		got, err := r.Lookup(batch)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := gocmp.Diff(tr.lookup(batch), briefs(got)); diff != "" {
			rt.Fatalf("tree %q, batch %q (-want +got):\n%s", tr, batch, diff)
		}
	})
}

// TestLookupRace: while a directory and a link to outside keep changing places, no answer
// is outside's, and nothing is missing, since one of the two is always there.
func TestLookupRace(t *testing.T) {
	bothWays(t, func(t *testing.T, without bool) {
		dir, outside := scratch(t)
		grow(t, outside, "f", "s/f")
		grow(t, dir, "d/f", "d/only", "d/s/f", "link -> ../outside")
		foreign := map[uint64]bool{}
		for _, p := range []string{"", "f", "s", "s/f"} {
			foreign[inode(t, filepath.Join(outside, p))] = true
		}
		stop := swapping(t, filepath.Join(dir, "d"), filepath.Join(dir, "link"))
		defer stop()
		r := open(t, dir)
		r.openat2 = r.openat2 && !without
		batch := tree.Batch{m("d", attrs), m("d/f", content), m("d/only", content), m("d/s", attrs), m("d/s/f", content)}
		asDir, asLink := 0, 0
		for end := time.Now().Add(20 * time.Second); asDir < 300 || asLink < 300; {
			if time.Now().After(end) {
				t.Fatalf("saw the directory %d times, the link %d times: too little of either", asDir, asLink)
			}
			entries, err := r.Lookup(batch)
			if err != nil {
				t.Fatal(err)
			}
			for i, e := range entries {
				if e.State != Present || foreign[e.Stat.Ino] {
					t.Fatalf("got %s, inode %d", brief(e), e.Stat.Ino)
				}
				if i > 0 && entries[i-1].Path.Contains(e.Path) && !entries[i-1].Stat.IsDir() {
					t.Fatalf("got %q below %s", e.Path, brief(entries[i-1]))
				}
			}
			if len(entries) == 1 {
				asLink++
			} else {
				asDir++
			}
		}
	})
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// swapping exchanges two names over and over until stop is called.
func swapping(t *testing.T, a, b string) (stop func()) {
	var done atomic.Bool
	ended := make(chan error, 1)
	go func() {
		var err error
		for !done.Load() && err == nil {
			err = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
		}
		ended <- err
	}()
	return func() {
		done.Store(true)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	const dirs, files = 100, 100
	for _, missing := range []bool{false, true} {
		b.Run(fmt.Sprintf("missing=%t", missing), func(b *testing.B) {
			dir, _ := scratch(b)
			var batch tree.Batch
			for d := range dirs {
				for f := range files {
					p := tree.Path(fmt.Sprintf("x/y/%03d/%03d", d, f))
					grow(b, dir, filepath.Dir(string(p))+"/")
					if !missing {
						grow(b, dir, string(p))
					}
					batch = append(batch, m(p, content))
				}
			}
			r := open(b, dir)
			b.ReportAllocs()
			for b.Loop() {
				if got, err := r.Lookup(batch); err != nil || len(got) != len(batch) {
					b.Fatal(len(got), err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/path")
		})
	}
}
