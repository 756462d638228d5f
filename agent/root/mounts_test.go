package root

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
	"syncagent/rsyncd/rsyncdtest"
)

const inNamespace = "ROOT_TEST_IN_NAMESPACE"

// mountable runs the test once more in a process with mounts of its own, which end with it,
// and reports whether this is that process.
func mountable(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		needs(t, "mount", err)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	case !strings.Contains(string(out), "--- PASS"):
		t.Errorf("nothing was run\n%s", out)
	}
	return false
}

// needs skips a test that this machine has no right to run, unless it is told that it must.
func needs(t *testing.T, what string, err error) {
	t.Helper()
	rsyncdtest.Lacks(t, what, fmt.Errorf("no right to %s here: %w", what, err))
}

func mount(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

func bind(t *testing.T, from, to string) {
	t.Helper()
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(to, unix.MNT_DETACH) })
}

func umount(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
}

func paths(id Identity) []tree.Path {
	out := []tree.Path{}
	for _, m := range id.Mounts {
		out = append(out, m.Path)
	}
	return out
}

func TestMountsBelow(t *testing.T) {
	if !mountable(t) {
		return
	}
	dir, outside := scratch(t)
	const odd = tree.Path("a b\t\n\\#\xff/ü")
	at := filepath.Join(dir, string(odd))
	grow(t, dir, string(odd)+"/", "img/", "file")
	grow(t, outside, "other/", "file")
	mount(t, at)
	bind(t, filepath.Join(outside, "other"), filepath.Join(dir, "img"))
	bind(t, filepath.Join(outside, "file"), filepath.Join(dir, "file"))

	known := identity(t, dir)
	if diff := gocmp.Diff([]tree.Path{odd, "file", "img"}, paths(known)); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	if f := known.Mounts[1]; f.Inode != 0 || f.FS.Type == 0 {
		t.Errorf("a mounted file is known as %+v", f)
	}
	want := func(step string, want ...Difference) {
		t.Helper()
		if diff := gocmp.Diff(want, known.Compare(identity(t, dir))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	want("unchanged")
	umount(t, at)
	want("unmounted", Difference{odd, "nothing is mounted here any more"})
	mount(t, at)
	want("another tmpfs", Difference{odd, "another file system of the same type (0x1021994) is mounted here"})
	bind(t, outside, filepath.Join(dir, "img"))
	known = identity(t, dir)
	umount(t, filepath.Join(dir, "img"))
	want("another directory", Difference{"img", "this is another directory of the same name"})
}

func TestMountsStacked(t *testing.T) {
	if !mountable(t) {
		return
	}
	dir, _ := scratch(t)
	grow(t, dir, "m/")
	at := filepath.Join(dir, "m")
	mount(t, at)
	grow(t, at, "hidden/")
	mount(t, filepath.Join(at, "hidden"))
	lower := identity(t, dir)
	mount(t, at)
	upper := identity(t, dir)
	if diff := gocmp.Diff([]tree.Path{"m", "m/hidden"}, paths(lower)); diff != "" {
		t.Errorf("lower (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff([]tree.Path{"m"}, paths(upper)); diff != "" {
		t.Errorf("upper (-want +got):\n%s", diff)
	}
	grow(t, at, "hidden/")
	if got := paths(identity(t, dir)); len(got) != 1 {
		t.Errorf("a directory above a hidden mount point counts as one: %q", got)
	}
	if got := lower.Compare(upper); len(got) != 2 {
		t.Errorf("got %v", got)
	}
	umount(t, at)
	if got := lower.Compare(identity(t, dir)); got != nil {
		t.Errorf("unmounted again: got %v", got)
	}
}

// TestMountedOver: what is opened anew sees a mount over the root, what is open says that it
// changed, and holds its own mount.
func TestMountedOver(t *testing.T) {
	if !mountable(t) {
		return
	}
	dir, _ := scratch(t)
	grow(t, dir, "f")
	known := identity(t, dir)
	old := open(t, dir)
	mount(t, dir)
	if _, err := old.Lookup(tree.Batch{m("f", content)}); !errors.Is(err, ErrChanged) {
		t.Errorf("the old root: got %v", err)
	}
	if _, err := old.Identity(); !errors.Is(err, ErrChanged) {
		t.Errorf("the old root's identity: got %v", err)
	}
	if got := known.Compare(identity(t, dir)); len(got) != 1 || got[0].Path != tree.Root {
		t.Errorf("got %v", got)
	}
	r := open(t, dir)
	mount(t, dir) // its root has the same inode
	if _, err := r.Lookup(tree.Batch{m("f", content)}); !errors.Is(err, ErrChanged) {
		t.Errorf("a second one: got %v", err)
	}
	umount(t, dir)
	if err := unix.Unmount(dir, 0); err != unix.EBUSY {
		t.Errorf("unmount below an open root: got %v", err)
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lookup(tree.Batch{m("f", content)}); !errors.Is(err, ErrChanged) {
		t.Errorf("detached: got %v", err)
	}
	if got := known.Compare(identity(t, dir)); got != nil {
		t.Errorf("back again: got %v", got)
	}
}

// TestExt4 remounts an image on another device, and creates a directory anew that gets the
// same inode; with small inodes there is no birth time.
func TestExt4(t *testing.T) {
	if !mountable(t) {
		return
	}
	if os.Geteuid() != 0 {
		needs(t, "mount", errors.New("not root"))
	}
	for _, size := range []string{"128", "256"} {
		t.Run(size, func(t *testing.T) {
			dir, other := scratch(t)
			image := loop(t, dir, size)
			path := filepath.Join(dir, "www")
			grow(t, dir, "www/")
			known := identity(t, path)
			if (known.Birth == 0) != (size == "128") {
				t.Fatalf("birth is %d", known.Birth)
			}
			umount(t, dir)
			loop(t, other, size) // takes the loop device
			attach(t, image, dir)
			if got := known.Compare(identity(t, path)); got != nil {
				t.Errorf("mounted again: got %v", got)
			}
			recreate(t, path, known.Inode)
			if got := known.Compare(identity(t, path)); len(got) != 1 || !strings.Contains(got[0].Problem, "another directory") {
				t.Errorf("created again: got %v", got)
			}
		})
	}
}

// loop mounts a new ext4 at dir and returns its image.
func loop(t *testing.T, dir, inodeSize string) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 4<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-I", inodeSize, image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4 (of e2fsprogs): %v\n%s", err, out)
	}
	attach(t, image, dir)
	return image
}

func attach(t *testing.T, image, dir string) {
	t.Helper()
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		needs(t, "mount", fmt.Errorf("%w: %s", err, out))
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

// recreate makes the directory anew until it has the inode again.
func recreate(t *testing.T, path string, want uint64) {
	t.Helper()
	for range 100 {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if inode(t, path) == want {
			return
		}
	}
	t.Fatal("the inode did not come back")
}
