package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

func overflowed(e Event) bool {
	return e.Path == tree.Root && e.What&tree.Deep != 0 && e.Cause == Overflow
}

// TestRealOverflow lets the receiver stand still until the kernel drops events,
// those of new directories too.
func TestRealOverflow(t *testing.T) {
	eachBackend(t, testRealOverflow)
}

func testRealOverflow(t *testing.T, backend Backend) {
	queue := sysctl(map[Backend]string{Fsnotify: "fs.inotify.max_queued_events", Fanotify: "fs.fanotify.max_queued_events"}[backend])
	if queue == 0 {
		t.Fatal("the length of the queue cannot be read")
	}
	h := startPaced(t, Config{Backend: backend}, New(Config{}).pace)
	h.gate.Lock()
	// At least an event a turn; both backends hold some more than the kernel. The
	// names differ, since fanotify merges what happens to one.
	for i := range queue + 4096 + ahead + 1000 {
		name := filepath.Join(h.root, fmt.Sprint("f", i))
		write(t, name, "")
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	mkdir(t, filepath.Join(h.root, "unseen/below"))
	if h.saw(overflowed) {
		t.Error("overflow reported too early for the test to mean anything")
	}
	h.gate.Unlock()
	h.settle()
	if !h.saw(overflowed) || h.w.Stats().Overflows == 0 {
		t.Errorf("the overflow was not reported: %+v", h.w.Stats())
	}
	if backend == Fsnotify {
		h.checkWatches()
	}
	h.tryEach(0)
}

// TestOverflowReportedTwice checks the order: at once, so that nobody takes the
// tree for equal, and once more when all is watched.
func TestOverflowReportedTwice(t *testing.T) {
	h := startBackend(t, Config{}, New(Config{}).pace, func(*fsnotifyBackend) {})
	h.b.fs.Errors <- fsnotify.ErrEventOverflow
	h.settle()
	if events := h.all(); len(events) != 2 || !overflowed(events[0]) || !overflowed(events[1]) {
		t.Errorf("events %v, want two of the overflow", events)
	}
}

// TestOverflowRateLimited checks that a second rescan waits and that meanwhile the
// tree counts as unsettled.
func TestOverflowRateLimited(t *testing.T) {
	slow := pace{root: time.Hour, retry: time.Hour, rescan: time.Hour}
	h := startBackend(t, Config{}, slow, func(*fsnotifyBackend) {})
	h.b.fs.Errors <- fsnotify.ErrEventOverflow
	h.settle()
	h.forget()
	h.b.fs.Errors <- fsnotify.ErrEventOverflow
	h.b.fs.Errors <- fsnotify.ErrEventOverflow
	mkdir(t, filepath.Join(h.root, "d"))
	eventually(t, "the new directory", func() bool { return h.saw(func(e Event) bool { return e.Path == "d" }) })
	if n := h.w.Stats().Unsettled; n == 0 {
		t.Error("settled, although a rescan is due")
	}
	if events := h.all(); len(events) != 3 {
		t.Errorf("events %v, want one of each overflow and the directory", events)
	}
}

// TestTooManyJobs fills the queue of the worker, which then looks at everything.
func TestTooManyJobs(t *testing.T) {
	entered, hold := make(chan struct{}), make(chan struct{})
	h := startBackend(t, Config{}, New(Config{}).pace, func(b *fsnotifyBackend) {
		add := b.add
		b.add = func(abs string) error {
			if filepath.Base(abs) == "slow" {
				close(entered)
				<-hold
			}
			return add(abs)
		}
	})
	mkdir(t, filepath.Join(h.root, "slow"))
	<-entered
	for i := range jobsMost + 10 {
		h.b.mounted(tree.Path(fmt.Sprintf("m%d", i)))
	}
	if err := os.Rename(filepath.Join(h.root, "slow"), filepath.Join(h.root, "quick")); err != nil {
		t.Fatal(err)
	}
	close(hold)
	h.settle()
	if !h.saw(overflowed) {
		t.Error("no event of the whole tree")
	}
	h.checkWatches()
}

// TestHarmlessFault: fsnotify reports EINVAL when the kernel was faster to remove
// the watch of a directory that moved away.
func TestHarmlessFault(t *testing.T) {
	h := startBackend(t, Config{}, New(Config{}).pace, func(*fsnotifyBackend) {})
	h.b.fs.Errors <- os.NewSyscallError("inotify_rm_watch", unix.EINVAL)
	h.settle()
	if events := h.all(); len(events) != 0 {
		t.Errorf("events %v, want none", events)
	}
}
