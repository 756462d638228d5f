package watch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
	"syncagent/rsyncd/rsyncdtest"
)

// mountImage makes a file system of its own at dir, empty.
func mountImage(t *testing.T, kind, dir string) {
	t.Helper()
	mkdir(t, dir)
	if kind == "tmpfs" {
		mountTmpfs(t, dir)
		return
	}
	image := dir + ".img"
	write(t, image, "")
	if err := os.Truncate(image, 400<<20); err != nil { // xfs takes no less than 300 MiB
		t.Fatal(err)
	}
	for _, cmd := range [][]string{{"mkfs." + kind, "-q", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.CommandContext(t.Context(), cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			rsyncdtest.Lacks(t, kind, &os.PathError{Op: strings.TrimSpace(string(out)), Path: strings.Join(cmd, " "), Err: err})
		}
	}
	t.Cleanup(func() { unmount(t, dir, unix.MNT_DETACH) })
}

// TestFilesystems runs the scripts and the stress on each file system that
// fanotify is used for, whose handles differ.
func TestFilesystems(t *testing.T) {
	for _, kind := range []string{"tmpfs", "ext4", "xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			if !inMounts(t) {
				return
			}
			top := filepath.Join(resolved(t, t.TempDir()), kind)
			mountImage(t, kind, top)
			needFanotify(t, top)
			files, err := filepath.Glob("../../testdata/watch/*.txt")
			if err != nil || len(files) == 0 {
				t.Fatalf("no scripts: %v", err)
			}
			for _, file := range files {
				name := filepath.Join(top, filepath.Base(file))
				mkdir(t, name)
				runScript(t, file, Fanotify, name)
			}
			removeFollowed(t, top)
			stress(t, Fanotify, false, top, 5)
		})
	}
}

// removeFollowed removes directories while their events are being followed, which
// must not make the whole tree unknown.
func removeFollowed(t *testing.T, top string) {
	t.Helper()
	root := filepath.Join(top, "removed")
	mkdir(t, root)
	h := startPaced(t, Config{Backend: Fanotify, Root: root}, New(Config{}).pace)
	for i := range 500 {
		dir := filepath.Join(root, fmt.Sprint(i))
		mkdir(t, filepath.Join(dir, "a/b/c"))
		write(t, filepath.Join(dir, "a/b/f"), "")
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	h.settle()
	if h.saw(overflowed) {
		t.Errorf("the whole tree was reported, stats %+v", h.w.Stats())
	}
}

// TestSubvolumes has a root within a subvolume of btrfs that is mounted alone, and
// others that stand in it as a directory and as a mount.
func TestSubvolumes(t *testing.T) {
	if !inMounts(t) {
		return
	}
	all := filepath.Join(resolved(t, t.TempDir()), "btrfs")
	mountImage(t, "btrfs", all)
	btrfs := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	top := filepath.Join(filepath.Dir(all), "top")
	mkdir(t, top)
	btrfs("btrfs", "subvolume", "create", filepath.Join(all, "main"))
	btrfs("btrfs", "subvolume", "create", filepath.Join(all, "other"))
	btrfs("btrfs", "subvolume", "create", filepath.Join(all, "main/inner"))
	btrfs("mount", "-o", "loop,subvol=main", all+".img", top)
	t.Cleanup(func() { unmount(t, top, unix.MNT_DETACH) })
	root := filepath.Join(top, "root")
	mkdir(t, filepath.Join(root, "mnt"))
	btrfs("btrfs", "subvolume", "create", filepath.Join(root, "nested"))
	btrfs("mount", "-o", "loop,subvol=other", all+".img", filepath.Join(root, "mnt"))
	t.Cleanup(func() { unmount(t, filepath.Join(root, "mnt"), unix.MNT_DETACH) })
	mkdir(t, filepath.Join(root, "mnt/d"))
	mkdir(t, filepath.Join(root, "nested/d"))
	h := start(t, Config{Root: root})
	if s := h.w.Stats(); s.Backend != string(Fanotify) || s.Filesystems != 1 {
		rsyncdtest.Lacks(t, "subvolumes", os.NewSyscallError(s.Why, unix.EOPNOTSUPP)) // before Linux 6.8
	}
	for _, dir := range []string{".", "mnt/d", "nested/d"} {
		h.reports(dir, "f")
	}
	h.forget()
	write(t, filepath.Join(top, "inner/f"), "")
	write(t, filepath.Join(all, "f"), "")
	write(t, filepath.Join(all, "other/seen"), "")
	h.settle()
	if got := h.marks(); len(got) != 1 || got[0] != "content mnt/seen" {
		t.Errorf("marks %q, want that of mnt/seen alone", got)
	}
}

// mountOverlay mounts a file system at dir that has no handles.
func mountOverlay(t *testing.T, layers, dir string) {
	t.Helper()
	for _, d := range []string{"lower", "upper", "work"} {
		mkdir(t, filepath.Join(layers, d))
	}
	opts := "lowerdir=" + layers + "/lower,upperdir=" + layers + "/upper,workdir=" + layers + "/work"
	if err := unix.Mount("overlay", dir, "overlay", 0, opts); err != nil {
		rsyncdtest.Lacks(t, "overlay", err)
	}
}

// TestNoHandles: where directories have no handles, auto watches each, and
// fanotify says so.
func TestNoHandles(t *testing.T) {
	if !inMounts(t) {
		return
	}
	needFanotify(t, "")
	top := resolved(t, t.TempDir())
	mountTmpfs(t, top) // overlayfs does not stand on itself
	root := filepath.Join(top, "root")
	mkdir(t, root)
	mountOverlay(t, top, root)
	defer unmount(t, root, unix.MNT_DETACH)
	err := New(Config{Root: root, Backend: Fanotify}).Run(t.Context(), func(Event) {}, func() {})
	if err == nil || !strings.Contains(err.Error(), "cannot name its directories by handles") || !strings.Contains(err.Error(), "watcher auto") {
		t.Errorf("fanotify: run returned %v", err)
	}
	h := start(t, Config{Root: root})
	if s := h.w.Stats(); s.Backend != string(Fsnotify) || !strings.Contains(s.Why, "not fanotify: ") {
		t.Errorf("auto: stats %+v", s)
	}
	h.reports(".", "f")
}

// TestNoHandlesBelow: such a file system below the root has auto watch each
// directory, and fanotify report it from time to time.
func TestNoHandlesBelow(t *testing.T) {
	if !inMounts(t) {
		return
	}
	needFanotify(t, "")
	top := resolved(t, t.TempDir())
	mountTmpfs(t, top)
	root := filepath.Join(top, "root")
	mkdir(t, filepath.Join(root, "m"))
	mountOverlay(t, top, filepath.Join(root, "m"))
	auto := start(t, Config{Root: root})
	if s := auto.w.Stats(); s.Backend != string(Fsnotify) || !strings.Contains(s.Why, filepath.Join(root, "m")) {
		t.Errorf("auto: stats %+v", s)
	}
	auto.reports("m", "f")
	h := prepare(t, Config{Root: root, Backend: Fanotify})
	h.w.pace.retry = 1
	h.launch(h.w.Run)
	blind := func(e Event) bool { return e.Path == "m" && e.What&tree.Deep != 0 && e.Cause == Unreadable }
	for range 3 {
		eventually(t, "a report of the blind mount", func() bool { return h.saw(blind) })
		h.forget()
	}
	if s := h.w.Stats(); s.BlindCount != 1 || s.Filesystems != 1 {
		t.Errorf("stats %+v, want m blind", s)
	}
	unmount(t, filepath.Join(root, "m"), unix.MNT_DETACH)
	eventually(t, "nothing to be blind", func() bool { return h.w.Stats().BlindCount == 0 })
	h.reports("m", "f")
}
