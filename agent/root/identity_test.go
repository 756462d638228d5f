package root

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"syncagent/agent/tree"
)

func TestCompare(t *testing.T) {
	base := func() Identity {
		return Identity{
			Path: "/www", FS: FS{Type: 0xef53, UUID: "aa", ID: "01"}, Node: Node{Inode: 2, Birth: 7, Generation: 9},
			Mounts: []Mount{
				{Path: "img", FS: FS{Type: 0x6969}, Node: Node{Inode: 5}},
				{Path: "tmp", FS: FS{Type: 0x01021994, ID: "02"}, Node: Node{Inode: 1, Birth: 3}},
			},
		}
	}
	const (
		otherFS   = "another file system of the same type (0xef53) is mounted here"
		otherType = "another file system is mounted here (type 0x58465342, it was 0xef53)"
		otherDir  = "this is another directory of the same name"
		noMount   = "nothing is mounted here any more"
	)
	tests := []struct {
		name   string
		change func(known, now *Identity)
		want   []Difference
	}{
		{"the same", func(_, _ *Identity) {}, nil},
		{"moved", func(_, now *Identity) { now.Path = "/w\xff" }, []Difference{{"", `the root leads to "/w\xff", it was "/www"`}}},
		{"type", func(_, now *Identity) { now.FS = FS{Type: 0x58465342} }, []Difference{{"", otherType}}},
		{"uuid", func(_, now *Identity) { now.FS.UUID = "bb" }, []Difference{{"", otherFS}}},
		{"id", func(_, now *Identity) { now.FS.ID = "03" }, []Difference{{"", otherFS}}},
		{"inode", func(_, now *Identity) { now.Inode = 3 }, []Difference{{"", otherDir}}},
		{"birth", func(_, now *Identity) { now.Birth = 8 }, []Difference{{"", otherDir}}},
		{"generation", func(_, now *Identity) { now.Generation = 8 }, []Difference{{"", otherDir}}},
		{"a kernel that knows less", func(_, now *Identity) { now.FS.UUID, now.Birth, now.Generation = "", 0, 0 }, nil},
		{"a kernel that knows more", func(known, _ *Identity) { known.FS.UUID, known.Birth, known.Generation = "", 0, 0 }, nil},
		{"a mount is gone", func(_, now *Identity) { now.Mounts = now.Mounts[1:] }, []Difference{{"img", noMount}}},
		{"all are gone", func(_, now *Identity) { now.Mounts = nil }, []Difference{{"img", noMount}, {"tmp", noMount}}},
		{"another one is mounted", func(_, now *Identity) { now.Mounts[1].Birth = 4 }, []Difference{{"tmp", otherDir}}},
		{"one does not answer", func(_, now *Identity) { now.Mounts[0].Problem = "it is ill" }, []Difference{{"img", "it is ill"}}},
		{"one answers now", func(known, _ *Identity) { known.Mounts[0] = Mount{Path: "img", Problem: "it is ill"} }, nil},
		{"one is new", func(known, _ *Identity) { known.Mounts = known.Mounts[:1] }, nil},
		{"root and mount", func(_, now *Identity) { now.Inode, now.Mounts = 3, now.Mounts[1:] }, []Difference{{"", otherDir}, {"img", noMount}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			known, now := base(), base()
			tt.change(&known, &now)
			if diff := gocmp.Diff(tt.want, known.Compare(now)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAdded(t *testing.T) {
	a, b := Mount{Path: "a"}, Mount{Path: "b"}
	known, now := Identity{Mounts: []Mount{a}}, Identity{Mounts: []Mount{a, b}}
	if diff := gocmp.Diff([]Mount{b}, known.Added(now)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := now.Added(known); got != nil {
		t.Errorf("got %v, want none", got)
	}
}

func drawNode(t *rapid.T) Node {
	return Node{rapid.Uint64().Draw(t, "inode"), rapid.Int64().Draw(t, "birth"), rapid.Uint32().Draw(t, "generation")}
}

func drawFS(t *rapid.T) FS {
	return FS{rapid.Int64().Draw(t, "type"), rapid.StringMatching(`[0-9a-f]{0,32}`).Draw(t, "uuid"), rapid.StringMatching(`[0-9a-f]{0,16}`).Draw(t, "id")}
}

// drawBytes draws a name of any bytes.
func drawBytes(t *rapid.T) string {
	bytes := rapid.SliceOfN(rapid.SampledFrom([]byte("ab<&\" \\\n\xff\x80\xc3\xa4")), 1, 8)
	return string(bytes.Draw(t, "name"))
}

func TestIdentityJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Identity{Path: "/" + drawBytes(t), FS: drawFS(t), Node: drawNode(t)}
		for range rapid.IntRange(0, 3).Draw(t, "mounts") {
			want.Mounts = append(want.Mounts, Mount{tree.Path(drawBytes(t)).Join(drawBytes(t)), drawFS(t), drawNode(t), rapid.String().Draw(t, "problem")})
		}
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Identity
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", data, diff)
		}
	})
}

func TestIdentityJSONForeign(t *testing.T) {
	for _, data := range []string{`{"mounts":[{"path":"../x"}]}`, `{"mounts":[{}]}`, `{"mounts":[{"path":"/x"}]}`, `[]`, `{"inode":-1}`} {
		var id Identity
		if err := json.Unmarshal([]byte(data), &id); err == nil {
			t.Errorf("%s: got %+v, want an error", data, id)
		}
	}
}

func TestStableID(t *testing.T) {
	for _, tt := range []struct {
		id, dev uint64
		want    string
	}{{0, 5, ""}, {0x700, 0x700, ""}, {0x4314a10af27efa8e, 0xfe00, "4314a10af27efa8e"}, {1, 2, "0000000000000001"}} {
		if got := stableID(tt.id, tt.dev); got != tt.want {
			t.Errorf("stableID(%#x, %#x) = %q, want %q", tt.id, tt.dev, got, tt.want)
		}
	}
}

func TestParseMountinfo(t *testing.T) {
	const info = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 0:30 / /www rw - ext4 /dev/vdb rw
41 40 0:31 / /www/img rw shared:1 - tmpfs none rw
42 41 0:32 / /www/img rw - tmpfs none rw
43 40 0:33 / /www/a\040b\134c\012\043 rw - tmpfs none rw
44 40 0:34 / /www/half\04 rw - tmpfs none rw
45 27 0:35 / /wwwx rw - tmpfs none rw
46 40 0:36 / /www/removed//deleted rw - tmpfs none rw
torn
x 40 0:37 / /www/y rw - tmpfs none rw
`
	want := mountTable{"img": {41, 42}, "a b\\c\n#": {43}, "half\\04": {44}}
	if diff := gocmp.Diff(want, parseMountinfo([]byte(info), "/www")); diff != "" {
		t.Errorf("below /www (-want +got):\n%s", diff)
	}
	got := parseMountinfo([]byte(info), "/")
	if len(got) != 5 || len(got["www/img"]) != 2 || got["wwwx"] == nil {
		t.Errorf("below /: got %v", got)
	}
}

func FuzzMountinfo(f *testing.F) {
	f.Add([]byte("41 40 0:31 / /www/i\\040mg rw - tmpfs none rw\n"))
	f.Add([]byte("41 40 0:31 / /www/\\57\\056./ rw\n"))
	f.Fuzz(func(t *testing.T, info []byte) {
		for p, ids := range parseMountinfo(info, "/www") {
			if _, err := tree.ParsePath(string(p)); err != nil || p == tree.Root || len(ids) == 0 {
				t.Errorf("got %q %v", p, ids)
			}
		}
	})
}

func TestOpen(t *testing.T) {
	dir, _ := scratch(t)
	grow(t, dir, "real/f", "link -> real", "file")
	r := open(t, filepath.Join(dir, "link"))
	if want := filepath.Join(dir, "real"); r.Path() != want {
		t.Errorf("path is %q, want %q", r.Path(), want)
	}
	if !r.openat2 {
		t.Error("openat2 is not used")
	}
	if _, err := Open(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: got %v", err)
	}
	if _, err := Open(filepath.Join(dir, "file")); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a file: got %v", err)
	}
}

// TestLinkTurned: a root that is a link, turned to another directory, has another
// identity.
func TestLinkTurned(t *testing.T) {
	dir, _ := scratch(t)
	grow(t, dir, "one/", "two/", "link -> one")
	link := filepath.Join(dir, "link")
	known := identity(t, link)
	if diffs := known.Compare(identity(t, link)); diffs != nil {
		t.Errorf("unchanged: got %v", diffs)
	}
	run(t, dir, []string{"rm link", "ln two link"})
	if diffs := known.Compare(identity(t, link)); len(diffs) != 1 || diffs[0].Path != tree.Root {
		t.Errorf("got %v, want the root", diffs)
	}
}

func TestNames(t *testing.T) {
	dir, _ := scratch(t)
	r := open(t, dir)
	if empty, err := r.Empty(); err != nil || !empty {
		t.Errorf("empty = %t, %v", empty, err)
	}
	grow(t, dir, "b", "a/x", "\xff", ".h")
	for range 2 {
		names, err := r.Names()
		if diff := gocmp.Diff([]string{".h", "a", "b", "\xff"}, names); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	if empty, err := r.Empty(); err != nil || empty {
		t.Errorf("empty = %t, %v", empty, err)
	}
}

func TestStat(t *testing.T) {
	dir, _ := scratch(t)
	grow(t, dir, "f", "l -> f")
	r := open(t, dir)
	if st, err := r.Stat(tree.Root); err != nil || !st.IsDir() {
		t.Errorf("root: %+v, %v", st, err)
	}
	if st, err := r.Stat("l"); err != nil || st.Type() != unix.S_IFLNK {
		t.Errorf("link: %+v, %v", st, err)
	}
	for p, want := range map[tree.Path]error{"x": fs.ErrNotExist, "x/y": fs.ErrNotExist, "f/x": unix.ENOTDIR, "l/x": unix.ENOTDIR} {
		if _, err := r.Stat(p); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", p, err, want)
		}
	}
}

// TestDir: a child works in the directory that was opened, not in the one that has its
// path by then.
func TestDir(t *testing.T) {
	dir, _ := scratch(t)
	grow(t, dir, "mine")
	r := open(t, dir)
	run(t, dir, []string{"mv . ../moved", "mkdir ."})
	cmd := exec.Command("ls")
	cmd.Dir = procFD(int(r.Dir().Fd()))
	out, err := cmd.Output()
	if err != nil || string(out) != "mine\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

// identity opens path, takes its identity and closes it again.
func identity(t *testing.T, path string) Identity {
	t.Helper()
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	id, err := r.Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestNoDescriptorLeaks(t *testing.T) {
	dir, _ := scratch(t)
	grow(t, dir, "a/b/c", "f", "l -> a")
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	before := count()
	for _, without := range []bool{false, true} {
		r, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		r.openat2 = !without
		batch := tree.Batch{m("a/b/c", content), m("a/x/y", content), m("f/x/y", content), m("l/b/c", content), m(tree.Path(strings.Repeat("n", 256)+"/x/y"), content)}
		if _, err := r.Lookup(batch); err != nil {
			t.Fatal(err)
		}
		r.Stat("a/b/c/d")
		r.Stat("a/b/x")
		r.Names()
		r.Identity()
		r.Close()
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}
