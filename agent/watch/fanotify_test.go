package watch

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// TestNotUnderstood: an event that cannot be read or followed makes the whole file
// system unknown, and the next ones are reported as ever.
func TestNotUnderstood(t *testing.T) {
	needFanotify(t, "")
	for name, raw := range map[string][]byte{
		"garbage":      []byte("this is not what the kernel says, whatever it is"),
		"empty handle": rawEvent(unix.FAN_CREATE, 1, rawName(unix.FAN_EVENT_INFO_TYPE_DFID_NAME, 1, "", "x")),
		"from nowhere": rawEvent(unix.FAN_RENAME|unix.FAN_ONDIR, 1, rawName(unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, 1, "", "root"),
			rawName(unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, 1, "", "x")),
	} {
		t.Run(name, func(t *testing.T) {
			var due atomic.Bool
			h := startFanotify(t, Config{}, New(Config{}).pace, func(b *fanotifyBackend) {
				b.read = func(fd int, buf []byte) (int, error) {
					if due.CompareAndSwap(true, false) {
						return copy(buf, raw), nil
					}
					return unix.Read(fd, buf)
				}
			})
			due.Store(true)
			h.settle()
			if !h.saw(overflowed) || h.w.Stats().Overflows != 0 {
				t.Errorf("the root was not reported, stats %+v", h.w.Stats())
			}
			h.tryEach(0)
		})
	}
}

// TestGoneHandles: events of a directory that is gone are dropped, for its own
// removal is reported; so are those of kinds that bear no directory.
func TestGoneHandles(t *testing.T) {
	needFanotify(t, "")
	for name, open := range map[string]bool{"closed": false, "open": true} {
		t.Run(name, func(t *testing.T) { goneHandles(t, open) })
	}
}

func goneHandles(t *testing.T, open bool) {
	root := resolved(t, t.TempDir())
	mkdir(t, filepath.Join(root, "d"))
	if open {
		d, err := os.Open(filepath.Join(root, "d"))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
	}
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, filepath.Join(root, "d"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(root, "d")); err != nil {
		t.Fatal(err)
	}
	name := func(kind byte) []byte { return rawName(kind, handle.Type(), string(handle.Bytes()), "f") }
	var pending atomic.Pointer[[]byte]
	h := startFanotify(t, Config{Root: root}, New(Config{}).pace, func(b *fanotifyBackend) {
		b.read = func(fd int, buf []byte) (int, error) {
			if raw := pending.Swap(nil); raw != nil {
				return copy(buf, *raw), nil
			}
			return unix.Read(fd, buf)
		}
	})
	raw := slices.Concat(
		rawEvent(unix.FAN_DELETE, 1, name(unix.FAN_EVENT_INFO_TYPE_DFID_NAME)),
		rawEvent(unix.FAN_RENAME|unix.FAN_ONDIR, 1, name(unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME), name(unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME)),
		rawEvent(unix.FAN_MODIFY, 1),
	)
	pending.Store(&raw)
	h.settle()
	if events := h.all(); len(events) != 0 {
		t.Errorf("events %v, want none", events)
	}
}

// TestReadFails: without events there is nothing to go on with.
func TestReadFails(t *testing.T) {
	needFanotify(t, "")
	h := startFanotify(t, Config{}, New(Config{}).pace, func(b *fanotifyBackend) {
		b.read = func(int, []byte) (int, error) { return 0, errors.Join(ErrRootLost, unix.EIO) }
	})
	write(t, filepath.Join(h.root, "f"), "")
	if err := h.end(); !errors.Is(err, unix.EIO) {
		t.Errorf("run returned %v, want EIO", err)
	}
}

// TestNotAllowed: without the capabilities auto takes fsnotify, and fanotify says
// what it takes.
func TestNotAllowed(t *testing.T) {
	root := resolved(t, t.TempDir())
	if !inNamespace(t, unix.CLONE_NEWUSER) {
		return
	}
	if err := checkFanotify(Config{Root: root}); err == nil || !strings.Contains(err.Error(), "CAP_SYS_ADMIN") {
		t.Errorf("check returned %v", err)
	}
	err := New(Config{Root: root, Backend: Fanotify}).Run(t.Context(), func(Event) {}, func() {})
	if err == nil || !strings.Contains(err.Error(), "CAP_SYS_ADMIN") || !strings.Contains(err.Error(), "or use watcher auto") {
		t.Errorf("run returned %v", err)
	}
	h := start(t, Config{Root: root})
	if s := h.w.Stats(); s.Backend != string(Fsnotify) || !strings.Contains(s.Why, "CAP_SYS_ADMIN") {
		t.Errorf("auto: stats %+v", s)
	}
	h.reports(".", "f")
}

func TestAutoTakesFanotify(t *testing.T) {
	needFanotify(t, "")
	h := start(t, Config{})
	if s := h.w.Stats(); s.Backend != string(Fanotify) || s.Why == "" || s.Dirs != 0 || s.Filesystems != 1 {
		t.Errorf("stats %+v", s)
	}
	if err := checkFanotify(Config{Root: h.root + "/none"}); !errors.Is(err, ErrRootLost) {
		t.Errorf("check of a missing root returned %v", err)
	}
}

func TestPathCache(t *testing.T) {
	var c pathCache
	key := func(i int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(i)) }
	c.put(key(0), []tree.Path{"kept"})
	c.put(key(1), nil)
	for i := 2; i < 10*cachedPaths; i++ {
		c.put(key(i), nil)
		if paths, ok := c.get(key(0)); !ok || len(paths) != 1 {
			t.Fatalf("after %d: what is asked for was forgotten", i)
		}
	}
	if n := len(c.young) + len(c.old); n > 2*cachedPaths {
		t.Errorf("%d entries, want at most %d", n, 2*cachedPaths)
	}
	if _, ok := c.get(key(1)); ok {
		t.Error("what nobody asks for was kept")
	}
	if paths, ok := c.get(key(10*cachedPaths - 1)); !ok || paths != nil {
		t.Error("that it is not in the tree was forgotten")
	}
	c.clear()
	if _, ok := c.get(key(0)); ok {
		t.Error("it was not cleared")
	}
}

// TestMovedFrom: of a directory that is renamed within the tree it is told where it
// stood; of a file, and of what comes from outside, it is not.
func TestMovedFrom(t *testing.T) {
	needFanotify(t, "")
	root, outside := resolved(t, t.TempDir()), resolved(t, t.TempDir())
	for _, d := range []string{root + "/a/b/c", root + "/x", outside + "/o"} {
		mkdir(t, d)
	}
	if err := os.WriteFile(root+"/f", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	h := start(t, Config{Root: root, Backend: Fanotify})
	for _, r := range [][2]string{{root + "/a/b", root + "/x/y"}, {root + "/f", root + "/g"}, {outside + "/o", root + "/p"}} {
		if err := os.Rename(r[0], r[1]); err != nil {
			t.Fatal(err)
		}
	}
	h.settle()
	got := map[tree.Path]tree.Path{}
	for _, e := range h.all() {
		if e.From != tree.Root {
			got[e.Path] = e.From
		}
	}
	if len(got) != 1 || got["x/y"] != "a/b" {
		t.Errorf("%v", got)
	}
}
