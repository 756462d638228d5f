package rsync_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// newSeedWorld has a daemon that lets renames be linked.
func newSeedWorld(t *testing.T) *world {
	return newWorld(t, "refuse options = "+refuse+" !link-dest")
}

// both makes the same file on both sides.
func (w *world) both(name, content string) {
	w.t.Helper()
	w.write(name, content)
	w.slave(name, content)
	fi, err := os.Stat(filepath.Join(w.src, name))
	must(w.t, err)
	must(w.t, os.Chtimes(filepath.Join(w.dst, name), fi.ModTime(), fi.ModTime()))
}

// move renames on the source alone.
func (w *world) move(from, to string) {
	w.t.Helper()
	must(w.t, os.MkdirAll(filepath.Dir(filepath.Join(w.src, to)), 0o755))
	must(w.t, os.MkdirAll(filepath.Dir(filepath.Join(w.dst, to)), 0o755))
	must(w.t, os.Rename(filepath.Join(w.src, from), filepath.Join(w.src, to)))
}

func (w *world) inode(name string) uint64 {
	w.t.Helper()
	fi, err := os.Lstat(filepath.Join(w.dst, name))
	must(w.t, err)
	return fi.Sys().(*syscall.Stat_t).Ino
}

func seed(from, to string) rsync.Batch {
	return rsync.Batch{Deep: paths(to), Seeds: []rsync.Seed{{From: tree.Path(from), To: tree.Path(to)}}}
}

func TestSeedLinksWhatTheSlaveHas(t *testing.T) {
	for name, tt := range map[string]struct{ from, to string }{
		"beside":       {"before", "after"},
		"deeper":       {"before", "a/b/after"},
		"higher":       {"a/b/before", "after"},
		"another way":  {"x/before", "y/z/after"},
		"hostile":      {"a [1]*? é中 'q' \"r\" `id`/$(b)\\c;d", "--e #f {1-9}é/-r 'q' \"s\" `id` $(g); "},
		"of a dash":    {"-n", "--delete"},
		"not by UTF-8": {"\xff\xfe", "\xfe/x"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSeedWorld(t)
			w.both(tt.from+"/f", "content")
			w.both(tt.from+"/sub/g", "more content")
			w.both(tt.from+"/changed", "one")
			f, g := w.inode(tt.from+"/f"), w.inode(tt.from+"/sub/g")
			w.move(tt.from, tt.to)
			w.write(tt.to+"/changed", "other")
			w.write(tt.to+"/sub/new", "new")
			out := w.send(seed(tt.from, tt.to))
			w.clean(out)
			if w.inode(tt.to+"/f") != f || w.inode(tt.to+"/sub/g") != g {
				t.Error("what the slave had is not linked")
			}
			if out.Stats.Files != 2 || out.Stats.Bytes != int64(len("other"+"new")) || out.Stats.Runs != 3 || out.Stats.Deletes != 0 {
				t.Errorf("%+v", out.Stats)
			}
			w.clean(w.send(rsync.Batch{Gone: topOf(w, tt.from)}))
			w.same()
		})
	}
}

// topOf is what has to go of from for the trees to be the same.
func topOf(w *world, from string) []tree.Path {
	p := tree.Path(from)
	for p.Parent() != tree.Root {
		if _, err := os.Lstat(filepath.Join(w.src, string(p.Parent()))); err == nil {
			break
		}
		p = p.Parent()
	}
	return []tree.Path{p}
}

// TestSeedIsNeverNeeded: whatever stands in its way, the outcome is that of the same
// batch without it.
func TestSeedIsNeverNeeded(t *testing.T) {
	for name, tt := range map[string]struct {
		allow  string
		change func(w *world)
		runs   int
	}{
		"nothing there":     {" !link-dest", func(w *world) { must(w.t, os.RemoveAll(filepath.Join(w.dst, "before"))) }, 4},
		"other content":     {" !link-dest", func(w *world) { w.slave("before/f", "stale!!") }, 3},
		"a file":            {" !link-dest", func(w *world) { must(w.t, os.RemoveAll(filepath.Join(w.dst, "before"))); w.slave("before", "x") }, 4},
		"new name is taken": {" !link-dest", func(w *world) { w.slave("after/f", "theirs") }, 3},
		"wrong mode":        {" !link-dest", func(w *world) { must(w.t, os.Chmod(filepath.Join(w.dst, "before/f"), 0o600)) }, 3},
		"refused":           {"", func(*world) {}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "refuse options = "+refuse+tt.allow)
			w.both("before/f", "content")
			w.both("before/sub/g", "more content")
			w.move("before", "after")
			tt.change(w)
			out := w.send(seed("before", "after"))
			w.clean(out)
			if out.Stats.Runs != tt.runs {
				t.Errorf("%d runs, want %d", out.Stats.Runs, tt.runs)
			}
			w.clean(w.send(rsync.Batch{Gone: paths("before")}))
			w.same()
		})
	}
}

// A slave that refuses is not asked again: it takes half a second to do so.
func TestSeedIsRefusedOnce(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	for i, want := range []int{3, 1} {
		name := fmt.Sprintf("after%d", i)
		w.both("before/f", "content")
		w.move("before", name)
		out := c.Send(t.Context(), w.root(), seed("before", name))
		w.clean(out)
		if out.Stats.Runs != want {
			t.Errorf("rename %d: %d runs, want %d", i, out.Stats.Runs, want)
		}
		w.clean(c.Send(t.Context(), w.root(), rsync.Batch{Gone: paths("before")}))
	}
	w.same()
}

// Where the slave has links in place of the new name or of what is above it, they make
// way; nothing is written to where they lead.
func TestSeedFollowsNoLink(t *testing.T) {
	for link, to := range map[string]string{"after": "after", "p": "p/after", "p/q": "p/q/after"} {
		t.Run(link, func(t *testing.T) {
			w := newSeedWorld(t)
			w.both("before/f", "content")
			w.both("before/sub/g", "content")
			w.both("theirs/f", "another")
			w.both("theirs/after/f", "another")
			for _, dir := range []string{w.src + "/theirs/after", w.dst + "/theirs/after", w.src + "/theirs", w.dst + "/theirs"} {
				must(t, os.Chtimes(dir, time.Unix(1, 0), time.Unix(1, 0)))
			}
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(w.src, to)), 0o755))
			must(t, os.Rename(filepath.Join(w.src, "before"), filepath.Join(w.src, to)))
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(w.dst, link)), 0o755))
			must(t, os.Symlink(filepath.Join(strings.Repeat("../", strings.Count(link, "/")), "theirs"), filepath.Join(w.dst, link)))
			w.clean(w.send(seed("before", to)))
			w.clean(w.send(rsync.Batch{Gone: paths("before")}))
			w.same()
		})
	}
}

// What is made is counted once, and what the slave had is not: the delete guard goes by it.
func TestSeedCounts(t *testing.T) {
	for name, tt := range map[string]struct {
		theirs string
		want   int
	}{"new": {"else", 4}, "in part": {"after/f", 2}} {
		for _, seeded := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " ", seeded), func(t *testing.T) {
				w := newSeedWorld(t)
				w.both("before/f", "content")
				w.both("before/s/g", "content")
				w.move("before", "after")
				w.slave(tt.theirs, "theirs")
				b := seed("before", "after")
				if !seeded {
					b.Seeds = nil
				}
				if out := w.send(b); out.Stats.Created != tt.want {
					t.Errorf("%+v", out.Stats)
				}
			})
		}
	}
}

func TestCanSeed(t *testing.T) {
	for s, want := range map[rsync.Seed]bool{
		{From: "a", To: "b"}: true, {From: "a", To: "ab"}: true, {From: "a/b", To: "a/c"}: true,
		{From: "", To: "b"}: false, {From: "a", To: ""}: false, {From: "a", To: "a/b"}: false, {From: "a/b", To: "a"}: false,
		{From: "a\nb", To: "c"}: false, {From: "a", To: "c\r"}: false,
		{From: "a[1]", To: "b"}: true, {From: "a", To: "b[1]"}: false, {From: "a", To: `b\`}: false, {From: "a", To: "b*/c"}: false,
	} {
		if s.CanSeed() != want {
			t.Errorf("%+v: not %v", s, want)
		}
	}
	for _, n := range hostileNames() {
		s := rsync.Seed{From: tree.Path(n), To: "x"}
		if s.CanSeed() != !slices.ContainsFunc([]string{"\n", "\t", "\x1b"}, func(c string) bool { return strings.Contains(n, c) }) {
			t.Errorf("%q: %v", n, s.CanSeed())
		}
	}
}
