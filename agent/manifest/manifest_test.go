package manifest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// at is the time all entries of a fixture get.
var at = time.Unix(1_700_000_000, 123_456_789)

// fixture makes a tree with one entry of each type that can be made.
func fixture(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	p := func(name string) string { return filepath.Join(root, name) }
	err := errors.Join(
		os.Mkdir(p("dir"), 0o755),
		os.WriteFile(p("dir/file"), []byte("content"), 0o640),
		os.Symlink("/etc/passwd", p("dir/link")),
		os.Symlink("nowhere\n\xff", p("dangling")),
		os.WriteFile(p("new\nline\xff"), nil, 0o600),
		os.WriteFile(p("dir.txt"), []byte("beside dir/"), 0o644),
		syscall.Mkfifo(p("fifo"), 0o600),
		os.Mkdir(p("empty"), 0o700),
		os.Chmod(p("dir/file"), 0o640|fs.ModeSticky), // not set-id: a write would clear it
	)
	if err != nil {
		t.Fatal(err)
	}
	stampAll(t, root)
	return root
}

func stampAll(t *testing.T, root string) {
	t.Helper()
	ts := syscall.NsecToTimespec(at.UnixNano())
	err := filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		return errors.Join(err, lutimes(p, ts))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, root string, opt Options) Manifest {
	t.Helper()
	m, err := Read(root, opt)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestReadIsSortedAndComplete(t *testing.T) {
	m := read(t, fixture(t), Everything())
	var got []string
	for _, e := range m {
		got = append(got, string(e.Type)+e.Path)
		if e.MtimeNs != at.UnixNano() {
			t.Errorf("%q: time %d", e.Path, e.MtimeNs)
		}
	}
	want := []string{"ldangling", "ddir", "-dir.txt", "-dir/file", "ldir/link", "dempty", "pfifo", "-new\nline\xff"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	file := m[3]
	if file.Mode != 0o1640 || file.Size != 7 || file.Sum[0] != 0xed || file.UID != uint32(os.Geteuid()) {
		t.Errorf("file: %+v", file)
	}
	if m[0].Link != "nowhere\n\xff" || m[4].Link != "/etc/passwd" {
		t.Errorf("links: %q, %q", m[0].Link, m[4].Link)
	}
}

func TestDiff(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(root string) error
		want   string // "" is no difference
	}{
		{"nothing", func(string) error { return nil }, ""},
		{"the root's own mode", func(r string) error { return os.Chmod(r, 0o711) }, ""},
		{"a byte", func(r string) error { return os.WriteFile(r+"/dir/file", []byte("c0ntent"), 0) }, `"dir/file": want content `},
		{"a size", func(r string) error { return os.Truncate(r+"/dir.txt", 3) }, `"dir.txt": want size 11, is 3; want content `},
		{"a mode", func(r string) error { return os.Chmod(r+"/empty", 0o711) }, `"empty": want mode 0700, is 0711`},
		{"a special bit", func(r string) error { return os.Chmod(r+"/dir/file", 0o640) }, `want mode 1640, is 0640`},
		{
			"a target", func(r string) error { return errors.Join(os.Remove(r+"/dangling"), os.Symlink("x", r+"/dangling")) },
			`"dangling": want target "nowhere\n\xff", is "x"`,
		},
		{"a missing file", func(r string) error { return os.Remove(r + "/new\nline\xff") }, `"new\nline\xff": missing, was file 0600 `},
		{"an extra file", func(r string) error { return os.WriteFile(r+"/zz", nil, 0o644) }, `"zz": extra, is file`},
		{
			"a type", func(r string) error { return errors.Join(os.Remove(r+"/fifo"), os.Mkdir(r+"/fifo", 0o600)) },
			`"fifo": want fifo 0600 `,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := fixture(t)
			before := read(t, root, Everything())
			if err := tt.change(root); err != nil {
				t.Fatal(err)
			}
			stampAll(t, root)
			d := Diff(before, read(t, root, Everything()))
			switch {
			case tt.want == "" && len(d) > 0:
				t.Errorf("got %v", d)
			case tt.want != "" && (len(d) != 1 || !strings.Contains(d[0].String(), tt.want)):
				t.Errorf("got %v, want …%s…", d, tt.want)
			}
		})
	}
}

func TestDiffOfOwners(t *testing.T) {
	a := Manifest{{Path: "f", Type: File, UID: 1, GID: 2}}
	b := Manifest{{Path: "f", Type: File, UID: 12, GID: 2}}
	if d := Diff(a, b); len(d) != 1 || d[0].String() != `"f": want owner 1:2, is 12:2` {
		t.Errorf("got %v", d)
	}
}

func TestDiffOfTimes(t *testing.T) {
	root := fixture(t)
	before := read(t, root, Everything())
	if err := lutimes(filepath.Join(root, "dangling"), syscall.NsecToTimespec(at.UnixNano()+1)); err != nil {
		t.Fatal(err)
	}
	d := Diff(before, read(t, root, Everything()))
	if len(d) != 1 || d[0].What != "want time 2023-11-14T22:13:20.123456789Z, is 2023-11-14T22:13:20.123456790Z" {
		t.Errorf("a nanosecond of a link's time: got %v", d)
	}
}

func TestDiffOfTreesWithoutCommonEntries(t *testing.T) {
	a := Manifest{{Path: "a"}, {Path: "c"}}
	b := Manifest{{Path: "b"}, {Path: "d"}}
	var got []string
	for _, d := range Diff(a, b) {
		got = append(got, d.Path+" "+strings.Fields(d.What)[0])
	}
	if want := []string{"a missing,", "b extra,", "c missing,", "d extra,"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOptionsLeaveOut(t *testing.T) {
	root := fixture(t)
	before := read(t, root, Options{})
	err := errors.Join(os.WriteFile(root+"/dir/file", []byte("c0ntent"), 0), os.Chmod(root+"/dir/file", 0o640|fs.ModeSticky))
	if err != nil {
		t.Fatal(err)
	}
	stampAll(t, root)
	if d := Diff(before, read(t, root, Options{})); len(d) > 0 {
		t.Errorf("content was not asked for: %v", d)
	}
	for _, e := range before {
		if e.UID != 0 || e.GID != 0 {
			t.Errorf("owners were not asked for: %v", e)
		}
	}
	m := read(t, root, Options{Exclude: func(p string, dir bool) bool { return p == "dir" && dir || p == "fifo" && !dir }})
	for _, e := range m {
		if strings.HasPrefix(e.Path, "dir/") || e.Path == "dir" || e.Path == "fifo" {
			t.Errorf("%q is excluded", e.Path)
		}
	}
	if len(m) != 4 {
		t.Errorf("got %v", m)
	}
}

func TestHardLinks(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	err := errors.Join(
		os.Mkdir(root+"/d", 0o755),
		os.WriteFile(root+"/d/x", nil, 0o644), os.Link(root+"/d/x", root+"/d.y"), os.Link(root+"/d/x", root+"/z"),
		os.WriteFile(root+"/alone", nil, 0o644), os.Link(root+"/alone", outside+"/alone"),
	)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range read(t, root, Options{HardLinks: true}) {
		got[e.Path] = e.LinkedTo
	}
	for path, want := range map[string]string{"d.y": "d.y", "d/x": "d.y", "z": "d.y", "alone": "", "d": ""} {
		if got[path] != want {
			t.Errorf("%s is linked to %q, want %q", path, got[path], want)
		}
	}
}

func TestVanishing(t *testing.T) {
	root := fixture(t)
	remove := func(p string, _ bool) bool {
		if p == "dir/file" || p == "empty" {
			_ = os.RemoveAll(filepath.Join(root, p))
		}
		return false
	}
	if _, err := Read(root, Options{Exclude: remove}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v: what vanishes unasked is an error", err)
	}
	root = fixture(t)
	m := read(t, root, Options{Exclude: remove, Vanishing: true, Content: true})
	for _, e := range m {
		if e.Path == "dir/file" || e.Path == "empty" {
			t.Errorf("%q is gone", e.Path)
		}
	}
	if len(m) != 6 {
		t.Errorf("got %v", m)
	}
	if _, err := Read(root+"/nothing", Options{Vanishing: true}); err == nil {
		t.Error("a root that is not there is an error in any case")
	}
}

// A file whose place was taken by a link or a fifo is neither followed nor
// waited for.
func TestSumDoesNotFollow(t *testing.T) {
	root := fixture(t)
	for name, want := range map[string]error{"dir/link": syscall.ELOOP, "fifo": errChanged, "dir": errChanged} {
		if _, err := sum(filepath.Join(root, name)); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
}

func TestRootMayBeALink(t *testing.T) {
	root := fixture(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	if d := Diff(read(t, root, Everything()), read(t, link, Everything())); len(d) > 0 {
		t.Errorf("got %v", d)
	}
}
