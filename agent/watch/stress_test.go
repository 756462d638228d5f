package watch

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// TestStress lets several writers do to a tree what confuses watchers most, and
// demands after each round that exactly the directories that are there are
// watched: by our table, by fsnotify's, by the kernel's, and by trying each.
// WATCH_STRESS_ROUNDS sets the number of rounds.
func TestStress(t *testing.T) {
	for _, overflow := range []bool{false, true} {
		t.Run(fmt.Sprintf("overflow=%v", overflow), func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			fast := pace{root: time.Hour, retry: time.Hour, rescan: time.Millisecond}
			h := startBackend(t, Config{}, fast, func(*fsnotifyBackend) {})
			outside := resolved(t, t.TempDir())
			rounds := 25
			if s := os.Getenv("WATCH_STRESS_ROUNDS"); s != "" {
				fmt.Sscan(s, &rounds)
			}
			for round := range rounds {
				churn(h, outside, seed+uint64(round), overflow)
				h.settle()
				h.checkWatches()
				h.tryEach(round)
				if t.Failed() {
					t.Fatalf("in round %d of seed %d", round, seed)
				}
			}
		})
	}
}

// churn runs two writers, and injects overflows if told.
func churn(h *watching, outside string, seed uint64, overflow bool) {
	var wg sync.WaitGroup
	for i := range 2 {
		c := churner{rand.New(rand.NewPCG(seed, uint64(i))), h.root, outside}
		wg.Go(func() {
			for n := range 400 {
				c.step()
				if overflow && n%40 == 0 {
					h.b.fs.Errors <- fsnotify.ErrEventOverflow
				}
			}
		})
	}
	wg.Wait()
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
	switch c.IntN(12) {
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
	if d := cmp.Diff(want, list); d != "" {
		h.t.Errorf("directories and fsnotify's list (-want +got):\n%s", d)
	}
	if d := cmp.Diff(inodes(h.t, want), kernelWatches(h.t, h.b.dir.id)); d != "" {
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
		want[h.b.dir.rel(filepath.Join(dir, name))] = true
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
