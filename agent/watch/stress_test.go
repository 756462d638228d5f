package watch

import (
	"bufio"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// TestStress lets several writers do to a tree what confuses watchers most, and
// demands after each round that the marks cover all that is different now, and
// that every directory reports what happens in it. With fsnotify exactly those
// directories must be watched: by our table, by fsnotify's, and by the kernel's.
// WATCH_STRESS_ROUNDS sets the number of rounds.
func TestStress(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend Backend) {
		for _, overflow := range []bool{false, true} {
			t.Run(fmt.Sprintf("overflow=%v", overflow), func(t *testing.T) {
				stress(t, backend, overflow, resolved(t, t.TempDir()), 12)
			})
		}
	})
	t.Run(string(oldFanotify), func(t *testing.T) {
		needFanotify(t, "")
		stress(t, oldFanotify, false, resolved(t, t.TempDir()), 10)
	})
}

func stress(t *testing.T, backend Backend, overflow bool, top string, rounds int) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	root, outside := filepath.Join(top, "root"), filepath.Join(top, "outside")
	mkdir(t, root)
	mkdir(t, outside)
	h, lose := startLossy(t, Config{Root: root, Backend: backend})
	if !overflow {
		lose = func() {}
	}
	if s := os.Getenv("WATCH_STRESS_ROUNDS"); s != "" {
		fmt.Sscan(s, &rounds)
	}
	before := h.look()
	for round := range rounds {
		h.forget()
		churn(h, outside, seed+uint64(round), lose)
		h.settle()
		after := h.look()
		h.checkCovers(before, after)
		if backend == Fsnotify {
			h.checkWatches()
		}
		h.tryEach(round)
		before = h.look()
		if t.Failed() {
			t.Fatalf("in round %d of seed %d", round, seed)
		}
	}
}

// startLossy starts a watcher and returns what makes it lose events by overflows.
func startLossy(t *testing.T, cfg Config) (h *watching, lose func()) {
	fast := pace{root: time.Hour, fanRoot: time.Hour, retry: time.Hour, rescan: time.Millisecond}
	if cfg.Backend == Fsnotify {
		h = startBackend(t, cfg, fast, func(*fsnotifyBackend) {})
		return h, func() { h.b.fs.Errors <- fsnotify.ErrEventOverflow }
	}
	var due atomic.Bool
	h = startFanotify(t, cfg, fast, func(b *fanotifyBackend) {
		if cfg.Backend == oldFanotify {
			withoutRename(t, b)
		}
		b.read = func(fd int, buf []byte) (int, error) {
			n, err := unix.Read(fd, buf)
			if err == nil && due.CompareAndSwap(true, false) {
				n = copy(buf, rawEvent(unix.FAN_Q_OVERFLOW, 0))
			}
			return n, err
		}
	})
	return h, func() { due.Store(true) }
}

// churn runs two writers, and has events lost if told.
func churn(h *watching, outside string, seed uint64, lose func()) {
	var wg sync.WaitGroup
	for i := range 2 {
		c := churner{rand.New(rand.NewPCG(seed, uint64(i))), h.root, outside}
		wg.Go(func() {
			for n := range 400 {
				c.step()
				if n%40 == 0 {
					lose()
				}
			}
		})
	}
	wg.Wait()
}

// look returns what stands in the tree: of each entry what tells whether it is
// the same one and unchanged.
func (h *watching) look() map[tree.Path]string {
	h.t.Helper()
	seen := make(map[tree.Path]string)
	err := filepath.WalkDir(h.root, func(name string, d fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(name, &st)
		}
		if !d.IsDir() { // names in it change those of a directory
			seen[h.rel(name)] = fmt.Sprint(st.Ino, st.Mode, st.Size, st.Mtim)
		} else {
			seen[h.rel(name)] = fmt.Sprint(st.Ino, st.Mode)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return seen
}

// checkCovers checks that the events since the last forget cover what is different.
func (h *watching) checkCovers(before, after map[tree.Path]string) {
	h.t.Helper()
	set := tree.NewSet(0)
	for _, e := range h.all() {
		set.Mark(e.Path, e.What)
	}
	for p, is := range after {
		if before[p] != is && !set.Covers(p) && !strings.HasPrefix(string(p), sentinel) {
			h.t.Errorf("%q is new or another, and not marked", p)
		}
	}
	for p := range before {
		if _, ok := after[p]; ok || strings.HasPrefix(string(p), sentinel) {
			continue
		}
		covered := false
		for q := p; after[q] == ""; q = q.Parent() { // a missing directory is deleted with all in it
			covered = covered || set.Covers(q)
		}
		if !covered {
			h.t.Errorf("%q is gone, and not marked", p)
		}
	}
}

type churner struct {
	*rand.Rand
	root, outside string
}

// path returns one of few names, so that the writers meet.
func (c churner) path() string {
	p := c.root
	for range 1 + c.IntN(4) {
		p = filepath.Join(p, string(rune('a'+c.IntN(3))))
	}
	return p
}

// step does one thing; most of them fail now and then, which is fine.
func (c churner) step() {
	p, q := c.path(), c.path()
	out := filepath.Join(c.outside, string(rune('a'+c.IntN(3))))
	switch c.IntN(14) {
	case 0, 1, 2:
		os.MkdirAll(p, 0o755)
	case 3:
		os.Remove(p)
	case 4:
		os.RemoveAll(p)
	case 5, 6:
		os.Rename(p, q)
	case 7:
		unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, q, unix.RENAME_EXCHANGE)
	case 8:
		os.Rename(p, out)
	case 9:
		os.Rename(out, p)
	case 10: // a directory becomes a symlink to where it went
		if os.Rename(p, q) == nil {
			os.Symlink(q, p)
		}
	case 12, 13:
		os.WriteFile(filepath.Join(p, "f"), []byte(q), 0o644)
	case 11: // there and back
		if os.Rename(p, out) == nil {
			os.Rename(out, p)
		}
	}
}

// checkWatches compares the directories that are there with those watched.
func (h *watching) checkWatches() {
	h.t.Helper()
	h.checkWatched(realDirs(h.t, h.root))
}

// checkWatched compares the directories given with those watched.
func (h *watching) checkWatched(want []string) {
	h.t.Helper()
	var table []string
	h.b.table.mu.Lock()
	for _, n := range h.b.table.byID {
		table = append(table, h.b.dir.abs(n.path()))
	}
	h.b.table.mu.Unlock()
	slices.Sort(table)
	if blind := h.w.Stats().Blind; len(blind) > 0 {
		h.t.Errorf("called blind: %q", blind)
	}
	if d := cmp.Diff(want, table); d != "" {
		h.t.Errorf("directories and the table (-want +got):\n%s", d)
	}
	list := h.b.fs.WatchList()
	slices.Sort(list)
	if d := cmp.Diff(slices.Sorted(slices.Values(append(want, h.b.marker.name))), list); d != "" {
		h.t.Errorf("directories and fsnotify's list (-want +got):\n%s", d)
	}
	if d := cmp.Diff(slices.Sorted(slices.Values(append(inodes(h.t, want), h.b.marker.inode(h.t)))), kernelWatches(h.t, h.b.dir.id)); d != "" {
		h.t.Errorf("directories and the kernel's watches (-want +got):\n%s", d)
	}
}

// tryEach makes a file in every directory and waits for the event of each.
func (h *watching) tryEach(round int) {
	h.t.Helper()
	h.forget()
	name := fmt.Sprintf("try-%d", round)
	want := make(map[tree.Path]bool)
	for _, dir := range realDirs(h.t, h.root) {
		write(h.t, filepath.Join(dir, name), "")
		want[h.rel(filepath.Join(dir, name))] = true
	}
	h.settle()
	for _, e := range h.all() {
		delete(want, e.Path)
	}
	if len(want) > 0 {
		h.t.Errorf("no event of %v", want)
	}
	for _, dir := range realDirs(h.t, h.root) {
		os.Remove(filepath.Join(dir, name))
	}
	h.settle()
}

// inodes returns the inode numbers of directories, in order.
func inodes(t testing.TB, dirs []string) []uint64 {
	t.Helper()
	var inos []uint64
	for _, dir := range dirs {
		var st unix.Stat_t
		if err := unix.Lstat(dir, &st); err != nil {
			t.Fatal(err)
		}
		inos = append(inos, st.Ino)
	}
	slices.Sort(inos)
	return inos
}

// kernelWatches returns the inode numbers watched by the inotify instance of this
// process that watches root.
func kernelWatches(t testing.TB, root inode) []uint64 {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if to, _ := os.Readlink(link); !strings.HasSuffix(to, "inotify") {
			continue
		}
		data, err := os.ReadFile(strings.Replace(link, "/fd/", "/fdinfo/", 1))
		if err != nil {
			t.Fatal(err)
		}
		var inos []uint64
		mine := false
		for s := bufio.NewScanner(strings.NewReader(string(data))); s.Scan(); {
			if rest, ok := strings.CutPrefix(s.Text(), "inotify wd:"); ok {
				id := fdinfoInode(rest)
				inos = append(inos, id.ino)
				mine = mine || id == root
			}
		}
		if mine {
			slices.Sort(inos)
			return inos
		}
	}
	t.Fatal("no inotify instance watches the root")
	return nil
}
