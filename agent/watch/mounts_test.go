package watch

import (
	"errors"
	"os"
	"path/filepath"
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
func TestMounts(t *testing.T) {
	if !inNamespace(t, unix.CLONE_NEWUSER|unix.CLONE_NEWNS) {
		return
	}
	root := resolved(t, t.TempDir())
	early, late := filepath.Join(root, "early"), filepath.Join(root, "la te")
	mkdir(t, early)
	mkdir(t, filepath.Join(late, "covered"))
	mkdir(t, filepath.Join(root, "excluded/m"))
	mountTmpfs(t, early)
	h := start(t, Config{Root: root, Excludes: func(p tree.Path, _ bool) bool { return p == "excluded" }})
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
	before := h.w.Stats().Dirs
	mountTmpfs(t, filepath.Join(root, "excluded/m"))
	mountTmpfs(t, early)
	eventually(t, "the event of the mount", mounted("early"))
	if s := h.w.Stats(); s.Dirs != before || h.saw(func(e Event) bool { return e.What&tree.Deep != 0 && e.Path == "excluded/m" }) {
		t.Errorf("%d directories after %d: a mount below an excluded directory is watched", s.Dirs, before)
	}
	unmount(t, early, 0)
	unmount(t, filepath.Join(root, "excluded/m"), 0)
}

// TestBindMount has one directory twice in the tree: one of the two is reported
// as a whole.
func TestBindMount(t *testing.T) {
	if !inNamespace(t, unix.CLONE_NEWUSER|unix.CLONE_NEWNS) {
		return
	}
	root := resolved(t, t.TempDir())
	mkdir(t, filepath.Join(root, "a/s"))
	mkdir(t, filepath.Join(root, "b"))
	bind := func(from, to string) {
		if err := unix.Mount(filepath.Join(root, from), filepath.Join(root, to), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unmount(t, filepath.Join(root, to), unix.MNT_DETACH) })
	}
	bind("a", "b")
	h := start(t, Config{Root: root})
	s := h.w.Stats()
	if len(s.Blind) != 1 || s.Blind[0] != "a" && s.Blind[0] != "b" || s.Dirs != 3 {
		t.Fatalf("stats %+v, want a or b blind, the root and two more watched", s)
	}
	if !h.saw(func(e Event) bool { return e.Path == s.Blind[0] && e.What&tree.Deep != 0 && e.Cause == Unreadable }) {
		t.Errorf("%s was not reported", s.Blind[0])
	}
	bind("", "b") // the root itself: must not be followed for ever
	eventually(t, "the root's copy to be blind", func() bool {
		s := h.w.Stats()
		return s.Unsettled == 0 && s.BlindCount == 1 && s.Blind[0] == "b"
	})
}

// TestRootUnmounted covers a root that is a mount point, and one whose mount is
// hidden by another.
func TestRootUnmounted(t *testing.T) {
	if !inNamespace(t, unix.CLONE_NEWUSER|unix.CLONE_NEWNS) {
		return
	}
	for name, change := range map[string]func(top, root string){
		"unmounted":       func(_, root string) { unmount(t, root, 0) },
		"detached":        func(_, root string) { unmount(t, root, unix.MNT_DETACH) },
		"mounted over":    func(_, root string) { mountTmpfs(t, root) },
		"hidden by above": func(top, _ string) { mountTmpfs(t, top) },
	} {
		for _, backend := range []Backend{Fsnotify, Poll} {
			top := resolved(t, t.TempDir())
			root := filepath.Join(top, "root")
			mkdir(t, root)
			mountTmpfs(t, root)
			t.Cleanup(func() {
				for _, at := range []string{top, root, root} { // what is not mounted any more fails
					_ = unix.Unmount(at, unix.MNT_DETACH)
				}
			})
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
