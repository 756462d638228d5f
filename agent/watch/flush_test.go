package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// flushed flushes and fails the test when that is not possible.
func (h *watching) flushed() time.Time {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	growing, err := h.w.Flush(ctx)
	if err != nil {
		h.t.Fatalf("flush: %v", err)
	}
	return growing
}

// covers reports whether an event names p, or everything below a directory above.
func (h *watching) covers(p tree.Path) bool {
	return h.saw(func(e Event) bool { return e.Path == p || e.What&tree.Deep != 0 && e.Path.Contains(p) })
}

// TestFlushIsABarrier: whatever was done before a flush was reported when it returns,
// however busy the tree is. Nobody waits for anything here.
func TestFlushIsABarrier(t *testing.T) { eachBackend(t, testFlushIsABarrier) }

func testFlushIsABarrier(t *testing.T, backend Backend) {
	h := start(t, Config{Backend: backend})
	ctx, stop := context.WithCancel(t.Context())
	churned := make(chan struct{})
	go func() {
		defer close(churned)
		for i := 0; ctx.Err() == nil; i++ {
			dir := filepath.Join(h.root, fmt.Sprintf("churn%d", i%7))
			os.MkdirAll(dir+"/x/y", 0o755)
			os.WriteFile(dir+"/x/f", []byte("1"), 0o644)
			os.RemoveAll(dir)
		}
	}()
	defer func() {
		stop()
		<-churned
	}()
	for i := range 150 {
		dir := fmt.Sprintf("d%d", i)
		steps := []struct {
			do   func() error
			path string
		}{
			{func() error { return os.Mkdir(h.root+"/"+dir, 0o755) }, dir},
			{func() error { return os.WriteFile(h.root+"/"+dir+"/f", []byte("1"), 0o644) }, dir + "/f"},
			{func() error { return os.Chmod(h.root+"/"+dir+"/f", 0o600) }, dir + "/f"},
			{func() error { return os.Symlink("f", h.root+"/"+dir+"/link") }, dir + "/link"},
			{func() error { return os.Rename(h.root+"/"+dir+"/f", h.root+"/"+dir+"/g") }, dir + "/g"},
			{func() error { return os.RemoveAll(h.root + "/" + dir) }, dir},
		}
		for _, s := range steps {
			h.forget()
			if err := s.do(); err != nil {
				t.Fatal(err)
			}
			h.flushed()
			before := time.Now()
			for growing := h.flushed(); !growing.IsZero() && growing.Before(before); growing = h.flushed() {
			}
			if !h.covers(tree.Path(s.path)) {
				t.Fatalf("%s: flushed, but %q was not reported: %v", backend, s.path, h.all())
			}
		}
	}
}

// TestFlushNamesWhatIsBeingWritten: a file that is held back is no reason to wait for
// ever, and none to say that it was reported.
func TestFlushNamesWhatIsBeingWritten(t *testing.T) {
	needFanotify(t, "")
	h := start(t, Config{Backend: Fanotify, Growing: time.Hour})
	f, err := os.Create(h.root + "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("half"); err != nil {
		t.Fatal(err)
	}
	if growing := h.flushed(); growing.IsZero() || h.covers("f") {
		t.Errorf("growing %v, reported %v", growing, h.all())
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if growing := h.flushed(); !growing.IsZero() || !h.covers("f") {
		t.Errorf("closed: growing %v, reported %v", growing, h.all())
	}
}

// TestFlushOfPoll: what nothing reports is marked as a whole.
func TestFlushOfPoll(t *testing.T) {
	h := start(t, Config{Backend: Poll, PollEvery: time.Hour})
	h.flushed()
	if !h.covers("anything") {
		t.Errorf("reported %v", h.all())
	}
}

// TestFlushWithoutAMarker: the whole tree is marked.
func TestFlushWithoutAMarker(t *testing.T) {
	h := startBackend(t, Config{}, New(Config{}).pace, func(b *fsnotifyBackend) { b.marker.err = errors.New("none") })
	if _, err := h.b.flush(t.Context()); err != nil || !h.covers("anything") {
		t.Errorf("flush: %v, reported %v", err, h.all())
	}
}

// TestFlushNeedsARun: it neither waits for one nor outlives it.
func TestFlushNeedsARun(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend Backend) {
		h := prepare(t, Config{Backend: backend})
		if _, err := h.w.Flush(t.Context()); !errors.Is(err, ErrNotWatching) {
			t.Errorf("before: %v", err)
		}
		h.launch(h.w.Run)
		h.gate.Lock() // the sink stands still
		if err := os.Mkdir(h.root+"/d", 0o755); err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 1)
		go func() {
			_, err := h.w.Flush(t.Context())
			failed <- err
		}()
		select {
		case err := <-failed:
			t.Errorf("flushed past an event that was not handed out: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		h.stop()
		if err := <-failed; !errors.Is(err, ErrNotWatching) {
			t.Errorf("ended meanwhile: %v", err)
		}
		h.gate.Unlock()
	})
}

// TestFlushCountsWhatIsQueued: what the kernel holds, while the backend is busy, came
// before.
func TestFlushCountsWhatIsQueued(t *testing.T) {
	needFanotify(t, "")
	var b *fanotifyBackend
	reading, allow := make(chan struct{}), make(chan struct{})
	var armed atomic.Bool
	h := startFanotify(t, Config{}, New(Config{}).pace, func(f *fanotifyBackend) {
		b = f
		f.read = func(fd int, buf []byte) (int, error) {
			if armed.CompareAndSwap(true, false) {
				close(reading)
				<-allow
			}
			return unix.Read(fd, buf)
		}
	})
	h.gate.Lock()
	mkdir(t, h.root+"/first")
	eventually(t, "the sink to be called", func() bool { return h.w.Stats().Events > 0 })
	mkdir(t, h.root+"/second")
	f := &flush{done: make(chan struct{})}
	b.mu.Lock()
	b.flushes = append(b.flushes, f)
	b.mu.Unlock()
	armed.Store(true)
	h.gate.Unlock()
	<-reading
	select {
	case <-f.done:
		t.Error("answered before what is queued was read")
	default:
	}
	close(allow)
	if err := f.answered(t.Context()); err != nil || !h.covers("second") {
		t.Errorf("flush: %v, reported %v", err, h.all())
	}
}

// inode returns the marker's.
func (m *marker) inode(t testing.TB) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(m.file.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}
