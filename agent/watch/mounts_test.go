package watch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

func mountTmpfs(t *testing.T, at string) {
	t.Helper()
	if err := unix.Mount("none", at, "tmpfs", 0, ""); err != nil {
		t.Fatalf("mount %s: %v", at, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) }) // unless the test did
}

func unmount(t *testing.T, at string, flags int) {
	t.Helper()
	if err := unix.Unmount(at, flags); err != nil {
		t.Fatalf("unmount %s: %v", at, err)
	}
}

// reports waits until making a file in dir is reported under its path.
func (h *watching) reports(dir, name string) {
	h.t.Helper()
	h.settle()
	h.forget()
	write(h.t, filepath.Join(h.root, dir, name), "")
	h.settle()
	want := tree.Path(filepath.Join(dir, name))
	if !h.saw(func(e Event) bool { return e.Path == want }) {
		h.t.Errorf("no event of %s, only %v", want, h.all())
	}
}

// TestMounts mounts and unmounts below the root.
func TestMounts(t *testing.T) { eachBackend(t, testMounts) }

func testMounts(t *testing.T, backend Backend) {
	if !inMounts(t) {
		return
	}
	root := resolved(t, t.TempDir())
	early, late := filepath.Join(root, "early"), filepath.Join(root, "la te")
	mkdir(t, early)
	mkdir(t, filepath.Join(late, "covered"))
	mkdir(t, filepath.Join(root, "excluded/m"))
	mountTmpfs(t, early)
	h := start(t, Config{Root: root, Backend: backend, Excludes: func(p tree.Path, _ bool) bool { return p == "excluded" }})
	h.reports("early", "f")

	mounted := func(p tree.Path) func() bool {
		return func() bool {
			return h.saw(func(e Event) bool { return e.Path == p && e.What&tree.Deep != 0 && e.Cause == Mounted })
		}
	}
	mountTmpfs(t, late)
	eventually(t, "the event of the mount", mounted("la te"))
	h.reports("la te", "f")
	mountTmpfs(t, late)
	eventually(t, "the event of the mount on top", mounted("la te"))
	h.reports("la te", "g")
	for _, flags := range []int{0, unix.MNT_DETACH} {
		unmount(t, late, flags)
		eventually(t, "the event of the unmount", mounted("la te"))
		h.reports("la te", "h")
	}
	h.reports("la te/covered", "f")

	unmount(t, early, 0)
	eventually(t, "the event of the unmount", mounted("early"))
	before := h.w.Stats()
	h.forget()
	mountTmpfs(t, filepath.Join(root, "excluded/m"))
	mountTmpfs(t, early)
	eventually(t, "the event of the mount", mounted("early"))
	eventually(t, "the mounts to be answered", func() bool { return h.w.Stats().Unsettled == 0 })
	s := h.w.Stats()
	more := s.Dirs - before.Dirs
	if backend == Fanotify {
		more = s.Filesystems - before.Filesystems - 1 // early
	}
	if more != 0 || h.saw(func(e Event) bool { return e.What&tree.Deep != 0 && e.Path == "excluded/m" }) {
		t.Errorf("%+v after %+v: a mount below an excluded directory is watched", s, before)
	}
	unmount(t, early, 0)
	unmount(t, filepath.Join(root, "excluded/m"), 0)
}

// bind mounts what stands at one place of a root at another.
func bind(t *testing.T, root, from, to string) {
	t.Helper()
	if err := unix.Mount(filepath.Join(root, from), filepath.Join(root, to), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmount(t, filepath.Join(root, to), unix.MNT_DETACH) })
}

// TestBindMount has one directory twice in the tree: with fsnotify one of the two
// is reported as a whole.
func TestBindMount(t *testing.T) {
	if !inMounts(t) {
		return
	}
	root := resolved(t, t.TempDir())
	mkdir(t, filepath.Join(root, "a/s"))
	mkdir(t, filepath.Join(root, "b"))
	bind(t, root, "a", "b")
	h := start(t, Config{Root: root, Backend: Fsnotify})
	s := h.w.Stats()
	if len(s.Blind) != 1 || s.Blind[0] != "a" && s.Blind[0] != "b" || s.Dirs != 3 {
		t.Fatalf("stats %+v, want a or b blind, the root and two more watched", s)
	}
	if !h.saw(func(e Event) bool { return e.Path == s.Blind[0] && e.What&tree.Deep != 0 && e.Cause == Unreadable }) {
		t.Errorf("%s was not reported", s.Blind[0])
	}
	bind(t, root, "", "b") // the root itself: must not be followed for ever
	eventually(t, "the root's copy to be blind", func() bool {
		s := h.w.Stats()
		return s.Unsettled == 0 && s.BlindCount == 1 && s.Blind[0] == "b"
	})
}

// TestBindMountFanotify: with fanotify each event bears all names.
func TestBindMountFanotify(t *testing.T) {
	if !inMounts(t) {
		return
	}
	needFanotify(t, "")
	top := resolved(t, t.TempDir())
	root := filepath.Join(top, "root")
	mkdir(t, filepath.Join(root, "a/s"))
	mkdir(t, filepath.Join(root, "b"))
	mkdir(t, filepath.Join(root, "c/d"))
	mkdir(t, filepath.Join(top, "out/t"))
	bind(t, root, "a", "b")
	bind(t, root, "../out", "c/d")
	h := start(t, Config{Root: root, Backend: Fanotify})
	write(t, filepath.Join(root, "b/s/f"), "")
	write(t, filepath.Join(top, "out/t/f"), "")
	write(t, filepath.Join(root, "a/g"), "")
	mkdir(t, filepath.Join(top, "unseen"))
	h.settle()
	want := []string{"content a/g", "content a/s/f", "content b/g", "content b/s/f", "content c/d/t/f"}
	if d := cmp.Diff(want, h.marks()); d != "" {
		t.Errorf("marks (-want +got):\n%s", d)
	}
	// A mount goes where the directory above it goes.
	if err := os.Rename(filepath.Join(root, "c"), filepath.Join(root, "e")); err != nil {
		t.Fatal(err)
	}
	h.reports("e/d/t", "g")
	if err := os.Rename(filepath.Join(root, "e"), filepath.Join(root, "c")); err != nil {
		t.Fatal(err)
	}
	if s := h.w.Stats(); s.Filesystems != 1 || s.BlindCount != 0 {
		t.Errorf("stats %+v, want one file system", s)
	}
}

// TestWholeHost has "/" for a root. What a bind mount does not show is not taken
// for the root itself, as which the kernel names it.
func TestWholeHost(t *testing.T) {
	if !inMounts(t) {
		return
	}
	needFanotify(t, "")
	top := resolved(t, t.TempDir())
	mkdir(t, filepath.Join(top, "in/a"))
	mkdir(t, filepath.Join(top, "in/b"))
	mkdir(t, filepath.Join(top, "unseen"))
	bind(t, top, "in/a", "in/b")
	in := tree.Path(strings.TrimPrefix(filepath.Join(top, "in"), "/"))
	h := start(t, Config{Root: "/", Backend: Fanotify, Excludes: func(p tree.Path, _ bool) bool {
		return !in.Contains(p) && !p.Contains(in)
	}})
	write(t, filepath.Join(top, "unseen/f"), "")
	write(t, filepath.Join(top, "in/a/f"), "")
	write(t, filepath.Join(top, "in/last"), "")
	eventually(t, "the last event", func() bool { return len(h.of(in.Join("last"))) > 0 })
	for p, want := range map[tree.Path]bool{in.Join("a/f"): true, in.Join("b/f"): true, "f": false} {
		if got := len(h.of(p)) > 0; got != want {
			t.Errorf("event of %q: %v, want %v", p, got, want)
		}
	}
}

// TestRootUnmounted covers a root that is a mount point, and one whose mount is
// hidden by another.
func TestRootUnmounted(t *testing.T) {
	if !inMounts(t) {
		return
	}
	backends := []Backend{Fsnotify, Poll}
	if checkFanotify(Config{Root: t.TempDir()}) == nil {
		backends = append(backends, Fanotify)
	}
	for name, change := range map[string]func(top, root string){
		"unmounted":       func(_, root string) { unmount(t, root, 0) },
		"detached":        func(_, root string) { unmount(t, root, unix.MNT_DETACH) },
		"mounted over":    func(_, root string) { mountTmpfs(t, root) },
		"hidden by above": func(top, _ string) { mountTmpfs(t, top) },
	} {
		for _, backend := range backends {
			top := resolved(t, t.TempDir())
			root := filepath.Join(top, "root")
			mkdir(t, root)
			mountTmpfs(t, root)
			mkdir(t, filepath.Join(root, "d"))
			h := start(t, Config{Root: root, Backend: backend})
			change(top, root)
			if err := h.end(); !errors.Is(err, ErrRootLost) {
				t.Errorf("%s, %s: run returned %v, want ErrRootLost", name, backend, err)
			}
		}
	}
}

func TestParseMounts(t *testing.T) {
	got := parseMounts([]byte(`22 1 0:21 / /proc rw,nosuid - proc proc rw
30 22 8:1 /sub /a\040b\134c\011d\012e rw shared:1 - ext4 /dev/sda1 rw
31 30 0:30 / /a\040b\134c\011d\012e rw - tmpfs none rw
short line
32 30 0:30 / relative rw - tmpfs none rw
33 30 0:30 / /end\04 rw - tmpfs none rw
34 30 0:30 / /bad\999 rw - tmpfs none rw`))
	want := map[string]string{
		"/proc": "22 ", "/a b\\c\td\ne": "30 31 ", `/end\04`: "33 ", `/bad\999`: "34 ",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("mounts (-want +got):\n%s", d)
	}
}

func TestChangedMounts(t *testing.T) {
	was := map[string]string{"/same": "1 ", "/over": "2 ", "/gone": "3 "}
	now := map[string]string{"/same": "1 ", "/over": "2 4 ", "/new": "5 "}
	if d := cmp.Diff([]string{"/gone", "/new", "/over"}, changedMounts(was, now)); d != "" {
		t.Errorf("changed (-want +got):\n%s", d)
	}
}

func FuzzParseMounts(f *testing.F) {
	f.Add([]byte("30 22 8:1 /sub /a\\040b rw shared:1 - ext4 /dev/sda1 rw\n"))
	if data, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for place, ids := range parseMounts(data) {
			if place == "" || place[0] != '/' || ids == "" {
				t.Errorf("%q: %q", place, ids)
			}
		}
	})
}
