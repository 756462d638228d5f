package watch

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// pass waits until what happened before was received, if not reported.
func (h *watching) pass() {
	h.t.Helper()
	h.calm++
	name := sentinel + "dir" + string(rune('a'+h.calm%26))
	mkdir(h.t, filepath.Join(h.root, name))
	eventually(h.t, "the event of a directory", func() bool {
		return h.saw(func(e Event) bool { return string(e.Path) == name })
	})
}

// of returns the events of p.
func (h *watching) of(p tree.Path) []Event {
	return slices.DeleteFunc(h.all(), func(e Event) bool { return e.Path != p })
}

func finished(e Event) bool { return e.What == tree.Content && e.Finished }

// create opens a new file and writes to it.
func (h *watching) create(name string) *os.File {
	h.t.Helper()
	f, err := os.Create(filepath.Join(h.root, name))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString("part"); err != nil {
		h.t.Fatal(err)
	}
	return f
}

// TestOpenFileWaits: with fanotify a file is reported once it is closed, however
// often it was written to.
func TestOpenFileWaits(t *testing.T) {
	needFanotify(t, "")
	h := start(t, Config{Backend: Fanotify, Growing: time.Hour})
	f := h.create("f")
	h.asked("f")
	if err := f.Chmod(0o600); err != nil { // this is part of what will be sent
		t.Fatal(err)
	}
	h.pass()
	s := h.w.Stats()
	if events := h.of("f"); len(events) != 0 || s.Growing != 1 || s.GrowingSince.IsZero() || s.Unsettled != 1 {
		t.Errorf("events %v, stats %+v of an open file", events, s)
	}
	if g := h.w.Growing(tree.Root); !slices.Equal(g, []tree.Path{"f"}) {
		t.Errorf("%q are growing, want f", g)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	h.settle()
	if events := h.of("f"); len(events) != 1 || !finished(events[0]) {
		t.Errorf("events %v, want one when it was closed", events)
	}
	if g := h.w.Growing(tree.Root); len(g) != 0 {
		t.Errorf("%q are growing", g)
	}
}

// asked waits until the writer of p was asked, and had it still open.
func (h *watching) asked(p tree.Path) {
	h.t.Helper()
	hold := h.w.meter.growing()
	eventually(h.t, "the writer to be asked", func() bool {
		hold.mu.Lock()
		defer hold.mu.Unlock()
		f := hold.files[p]
		return f != nil && f.waited > askFirst
	})
}

// TestGrowing: a file that stays open is reported from time to time.
func TestGrowing(t *testing.T) {
	needFanotify(t, "")
	h := start(t, Config{Backend: Fanotify, Growing: 30 * time.Millisecond})
	f := h.create("f")
	for range 3 {
		eventually(t, "a report of the open file", func() bool { return len(h.of("f")) > 0 })
		if e := h.of("f")[0]; e.Finished || e.What != tree.Content {
			t.Errorf("event %v of an open file", e)
		}
		h.forget()
		if _, err := f.WriteString("more"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNotOpen: what changes a file without closing it under its name is reported
// all the same, and does not wait for Growing.
func TestNotOpen(t *testing.T) {
	needFanotify(t, "")
	h := prepare(t, Config{Backend: Fanotify, Growing: time.Hour})
	write(t, filepath.Join(h.root, "truncated"), "long")
	h.launch(h.w.Run)
	if err := os.Truncate(filepath.Join(h.root, "truncated"), 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(h.root, "node"), unix.S_IFREG|0o600, 0); err != nil {
		t.Fatal(err)
	}
	dir, err := os.OpenFile(h.root, unix.O_TMPFILE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := unix.Linkat(int(dir.Fd()), "", unix.AT_FDCWD, filepath.Join(h.root, "linked"), unix.AT_EMPTY_PATH); err != nil {
		t.Fatal(err)
	}
	h.asked("linked")
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	h.settle()
	for _, p := range []tree.Path{"truncated", "node", "linked"} {
		if events := h.of(p); len(events) != 1 || !finished(events[0]) {
			t.Errorf("events %v of %s, want one", events, p)
		}
	}
	if len(h.all()) != 3 {
		t.Errorf("events %v, want no others", h.all())
	}
}

// TestMapped: what was written through a memory map is reported once it is unmapped.
func TestMapped(t *testing.T) {
	needFanotify(t, "")
	h := start(t, Config{Backend: Fanotify, Growing: time.Hour})
	f := h.create("f")
	m, err := unix.Mmap(int(f.Fd()), 0, 4, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	h.settle() // that it is not open is found by asking
	h.forget()
	copy(m, "full")
	if err := unix.Munmap(m); err != nil {
		t.Fatal(err)
	}
	h.settle()
	if events := h.of("f"); len(events) != 1 || !finished(events[0]) {
		t.Errorf("events %v, want one when it was unmapped", events)
	}
}

// TestAtOnce: what nobody will close is not held back.
func TestAtOnce(t *testing.T) {
	needFanotify(t, "")
	h := start(t, Config{Backend: Fanotify, Growing: time.Hour})
	f := h.create("open")
	h.pass()
	for _, err := range []error{
		os.Symlink("x", filepath.Join(h.root, "symlink")),
		unix.Mkfifo(filepath.Join(h.root, "fifo"), 0o600),
		os.Link(filepath.Join(h.root, "open"), filepath.Join(h.root, "hard")),
		os.Rename(filepath.Join(h.root, "open"), filepath.Join(h.root, "renamed")),
		os.WriteFile(filepath.Join(h.root, "empty"), nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	h.pass()
	for _, p := range []tree.Path{"symlink", "fifo", "hard", "renamed", "empty"} {
		if events := h.of(p); len(events) != 1 || !finished(events[0]) {
			t.Errorf("events %v of %s, want one", events, p)
		}
	}
	if g := h.w.Growing(tree.Root); len(g) != 0 {
		t.Errorf("%q are growing", g)
	}
	if want := []tree.Path{"hard", "renamed"}; !slices.Equal(h.linked, want) {
		t.Errorf("%q are told to have other names, not %q", h.linked, want)
	}
	f.Close()
}

// TestHeldGoes: what is held does not outlive its file, nor the run.
func TestHeldGoes(t *testing.T) {
	needFanotify(t, "")
	h := start(t, Config{Backend: Fanotify, Growing: time.Hour})
	mkdir(t, filepath.Join(h.root, "d"))
	mkdir(t, filepath.Join(h.root, "e"))
	for _, name := range []string{"d/f", "e/f", "g", "last"} {
		h.create(name)
	}
	eventually(t, "all to be held", func() bool { return h.w.Stats().Growing == 4 })
	for _, err := range []error{
		os.Rename(filepath.Join(h.root, "d"), filepath.Join(h.root, "moved")),
		os.RemoveAll(filepath.Join(h.root, "e")),
		os.Remove(filepath.Join(h.root, "g")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "one to be held", func() bool {
		return slices.Equal(h.w.Growing(tree.Root), []tree.Path{"last"}) && h.w.Stats().Unsettled == 1
	})
	h.stop()
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	if events := h.of("last"); len(events) != 1 || events[0].Finished {
		t.Errorf("events %v, want one at the end", events)
	}
}

// TestGrowingSize: with fsnotify a file that grows is held back until its size
// stays, and small ones for a moment only.
func TestGrowingSize(t *testing.T) {
	h := startBackend(t, Config{Growing: time.Hour}, New(Config{}).pace, func(*fsnotifyBackend) {})
	f := h.create("f")
	eventually(t, "the small file", func() bool { return len(h.of("f")) > 0 })
	h.settle()
	h.forget()
	size := int64(growSpeed)
	grow := func() {
		size++
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
	}
	grow()
	eventually(t, "the file to be held", func() bool { return h.w.Stats().Growing == 1 })
	hold := h.w.meter.growing()
	for range 3 {
		due, ok := hold.next()
		grow()
		eventually(t, "another look at the file", func() bool {
			now, held := hold.next()
			return !ok || !held || now.After(due)
		})
	}
	if events := h.of("f"); len(events) != 0 || h.w.Stats().Growing != 1 {
		t.Errorf("events %v of a growing file", events)
	}
	h.settle()
	if events := h.of("f"); len(events) != 1 || !finished(events[0]) {
		t.Errorf("events %v, want one at the end", events)
	}
}

// TestWriting knows what this process has open for writing.
func TestWriting(t *testing.T) {
	dir := t.TempDir()
	id := func(name string, flag int) inode {
		f, err := os.OpenFile(filepath.Join(dir, name), flag|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		return inode{uint64(st.Dev), st.Ino}
	}
	read, write, both := id("r", os.O_RDONLY), id("w", os.O_WRONLY), id("b", os.O_RDWR)
	files, err := writing(int32(os.Getpid()))
	if err != nil || files[read] || !files[write] || !files[both] {
		t.Errorf("%v, %v", files, err)
	}
	if files, err := writing(1 << 30); err != nil || len(files) != 0 {
		t.Errorf("a process that is gone: %v, %v", files, err)
	}
}
