package watch

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// safeBuffer takes log lines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestBlindSubtree injects errors of Add: the subtree is reported again and again,
// and watched as soon as that works.
func TestBlindSubtree(t *testing.T) {
	for err, cause := range map[error]Cause{unix.ENOSPC: NoWatches, unix.EACCES: Unreadable, unix.ENOMEM: Unreadable} {
		t.Run(err.Error(), func(t *testing.T) {
			var log safeBuffer
			var healed atomic.Bool
			root := resolved(t, t.TempDir())
			mkdir(t, filepath.Join(root, "d/e"))
			mkdir(t, filepath.Join(root, "ok"))
			fast := pace{root: time.Hour, retry: 5 * time.Millisecond, rescan: time.Hour}
			cfg := Config{Root: root, Log: slog.New(slog.NewTextHandler(&log, nil))}
			h := startBackend(t, cfg, fast, func(b *fsnotifyBackend) {
				add := b.add
				b.add = func(abs string) error {
					if strings.HasPrefix(abs, filepath.Join(root, "d")) && !healed.Load() {
						return err
					}
					return add(abs)
				}
			})
			reported := func(e Event) bool { return e.Path == "d" && e.What&tree.Deep != 0 && e.Cause == cause }
			for range 3 {
				eventually(t, "a report of the blind subtree", func() bool { return h.saw(reported) })
				h.forget()
			}
			s := h.w.Stats()
			if len(s.Blind) != 1 || s.Blind[0] != "d" || s.BlindCount != 1 || s.Dirs != 2 {
				t.Errorf("stats %+v, want d blind and two directories watched", s)
			}
			if n := strings.Count(log.String(), "level=WARN"); n != 1 {
				t.Errorf("%d warnings, want one:\n%s", n, log.String())
			}
			if cause == NoWatches && !strings.Contains(log.String(), "fs.inotify.max_user_watches = ") {
				t.Errorf("no remedy in the log:\n%s", log.String())
			}
			healed.Store(true)
			eventually(t, "the subtree to be watched", func() bool { return h.w.Stats().BlindCount == 0 })
			h.settle()
			h.checkWatches()
			h.tryEach(0)
		})
	}
}

// TestBlindRetryStops: once one try fails for want of watches, the others are
// reported without a try.
func TestBlindRetryStops(t *testing.T) {
	var tries atomic.Int64
	root := resolved(t, t.TempDir())
	for i := range 50 {
		mkdir(t, fmt.Sprintf("%s/d%02d", root, i))
	}
	slow := pace{root: time.Hour, retry: time.Hour, rescan: time.Hour}
	h := startBackend(t, Config{Root: root}, slow, func(b *fsnotifyBackend) {
		add := b.add
		b.add = func(abs string) error {
			if abs == root {
				return add(abs)
			}
			tries.Add(1)
			return unix.ENOSPC
		}
	})
	h.forget()
	tries.Store(0)
	if err := h.b.retryBlind(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := tries.Load(); n != 1 {
		t.Errorf("%d tries, want 1", n)
	}
	for i := range 50 {
		p := tree.Path(fmt.Sprintf("d%02d", i))
		if !h.saw(func(e Event) bool { return e.Path == p && e.What&tree.Deep != 0 }) {
			t.Errorf("%s was not reported", p)
		}
	}
}

// TestWatchLimit runs below a real limit, in a user namespace of its own.
func TestWatchLimit(t *testing.T) {
	if !inNamespace(t, unix.CLONE_NEWUSER) {
		return
	}
	const limit = 20
	write(t, "/proc/sys/user/max_inotify_watches", fmt.Sprint(limit))
	root := resolved(t, t.TempDir())
	for i := range 3 * limit {
		mkdir(t, fmt.Sprintf("%s/d%d/e", root, i))
	}
	fast := pace{root: time.Hour, retry: 10 * time.Millisecond, rescan: time.Hour}
	h := startBackend(t, Config{Root: root}, fast, func(*fsnotifyBackend) {})
	s := h.w.Stats()
	if s.Dirs != limit-1 || s.BlindCount == 0 { // one is the marker's
		t.Fatalf("stats %+v, want %d directories and blind ones", s, limit-1)
	}
	h.checkCovered(0)
	need, err := CheckLimit(root, nil)
	if err != nil || need.Directories != 6*limit+1 || need.Limit != limit || need.Used != limit || need.Own != limit {
		t.Errorf("need %+v, %v", need, err)
	}
	for i := range 3*limit - 5 {
		if err := os.RemoveAll(fmt.Sprintf("%s/d%d", root, i)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the rest to be watched", func() bool { return h.w.Stats().BlindCount == 0 })
	h.settle()
	h.checkWatches()
	h.tryEach(1)
}

// checkCovered makes a file in every directory and waits until an event or a
// report of a subtree covers each.
func (h *watching) checkCovered(round int) {
	h.t.Helper()
	h.forget()
	var want []tree.Path
	for _, dir := range realDirs(h.t, h.root) {
		name := fmt.Sprintf("%s/covered-%d", dir, round)
		write(h.t, name, "")
		want = append(want, h.b.dir.rel(name))
	}
	eventually(h.t, "an event that covers each file", func() bool {
		set := tree.NewSet(0)
		for _, e := range h.all() {
			set.Mark(e.Path, e.What)
		}
		for _, p := range want {
			if !set.Covers(p) {
				return false
			}
		}
		return true
	})
}

func TestBlindSetIsBounded(t *testing.T) {
	var s blindSet
	for i := range 3 * blindMost {
		s.add(tree.Path(fmt.Sprintf("crowd/%d", i)), NoWatches, 1)
	}
	s.add("other/x", Unreadable, 1)
	got := s.list()
	if len(got) != 2 || got[0] != "crowd" || got[1] != "other/x" {
		t.Errorf("%q, want crowd and other/x", got)
	}
	for i := range 3 * blindMost {
		s.add(tree.Path(fmt.Sprintf("deep/%d/%d/x", i, i)), NoWatches, 1)
	}
	if n := len(s.list()); n > blindMost {
		t.Errorf("%d subtrees, want at most %d", n, blindMost)
	}
	for i := range 3 * blindMost {
		p := tree.Path(fmt.Sprintf("deep/%d/%d/x", i, i))
		if _, ok := s.covering(p); !ok {
			t.Fatalf("%s is not covered", p)
		}
	}
}

// TestBlindSetExpires: a subtree stays in the set while it is tried again.
func TestBlindSetExpires(t *testing.T) {
	var s blindSet
	for _, p := range []tree.Path{"a", "b/c", "b/d", "e"} {
		s.add(p, NoWatches, 1)
	}
	s.add("a/x", NoWatches, 3) // what is below a is still not watched
	s.add("b/d", Unreadable, 3)
	s.expire("a", 2)
	s.expire("b", 2)
	if got := fmt.Sprint(s.list()); got != "[a b/d e]" {
		t.Errorf("blind are %s, want a, b/d and e", got)
	}
	if why, ok := s.cause("b/d"); !ok || why != Unreadable {
		t.Errorf("cause %v, %v, want the last one", why, ok)
	}
}
