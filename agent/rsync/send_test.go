package rsync_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

func TestSendAndDelete(t *testing.T) {
	w := newWorld(t)
	w.write("a/b/new", "1")
	w.write("top", "2")
	w.slave("a/old", "x")
	w.slave("a/dir/deep/file", "x")
	o := w.send(rsync.Batch{Send: paths("top", "a/b/new"), Gone: paths("a/dir", "a/old", "never")})
	w.clean(o)
	w.same()
	want := rsync.Stats{Files: 2, Deletes: 4, Created: 3, Runs: 2, Bytes: 2}
	if o.Stats != want { // two runs, since a directory with content goes
		t.Errorf("stats %+v, want %+v", o.Stats, want)
	}
}

func TestEmptyBatchRunsNothing(t *testing.T) {
	w := newWorld(t)
	o := w.send(rsync.Batch{})
	w.clean(o)
	if o.Stats.Runs != 0 {
		t.Errorf("%d runs", o.Stats.Runs)
	}
}

// The quick check takes a rewrite of equal size and time for equal.
func TestSameSecondRewriteArrives(t *testing.T) {
	w := newWorld(t)
	stamp := time.Unix(1_600_000_000, 123456789)
	for i := range 15 {
		w.write("f", fmt.Sprintf("content %02d", i))
		must(t, os.Chtimes(filepath.Join(w.src, "f"), stamp, stamp))
		w.clean(w.send(rsync.Batch{Send: paths("f")}))
		w.same()
	}
}

func TestAttrsDoNotSendContent(t *testing.T) {
	w := newWorld(t)
	w.write("d/f", "content")
	w.clean(w.send(rsync.Batch{Send: paths("d/f")}))
	must(t, os.Chmod(filepath.Join(w.src, "d/f"), 0o600))
	must(t, os.Chown(filepath.Join(w.src, "d/f"), 1234, 4321))
	o := w.send(rsync.Batch{Attrs: paths("d/f")})
	w.clean(o)
	w.same()
	if o.Stats.Bytes != 0 || o.Stats.Runs != 1 {
		t.Errorf("stats %+v", o.Stats)
	}
}

// Parents need no mark of their own: as implied directories they get the
// source's mode, owner and times, also after what was in them is deleted.
func TestParentsFollow(t *testing.T) {
	w := newWorld(t)
	w.write("p/q/keep", "1")
	w.write("p/q/sub/x", "1")
	w.clean(w.send(rsync.Batch{Deep: paths("")}))
	w.remove("p/q/sub")
	must(t, os.Chmod(filepath.Join(w.src, "p"), 0o711))
	stamp := time.Unix(1_500_000_000, 1)
	for _, d := range []string{"p/q", "p"} {
		must(t, os.Chtimes(filepath.Join(w.src, d), stamp, stamp))
	}
	w.clean(w.send(rsync.Batch{Gone: paths("p/q/sub")}))
	w.same()
}

func hostileNames() []string {
	names := []string{
		"#hash", ";semi", "new\nline", "tab\t", "a'b", `a"b`, "$(touch PWNED)", "`id`", `back\slash`, `\#012`, "-e", "--delete", "~",
		"*", "?", "[a]", " lead", "trail ", "pipe|1", "x|y|", "\xff\xfe", "中文", "\x1b[31m", ".hidden.AbC123", "a -> b", "(x) failed: No (2)",
		`q" failed: Permission denied (13)`, strings.Repeat("n", 255),
	}
	return names
}

func TestHostileNames(t *testing.T) {
	w := newWorld(t)
	var all []tree.Path
	for _, n := range hostileNames() {
		w.write(n, n)
		w.write("d/"+n, n)
		all = append(all, tree.Path(n), tree.Path("d/"+n))
	}
	w.clean(w.send(rsync.Batch{Send: all}))
	w.same()
	victims, err := w.client().Victims(t.Context(), w.root(), all)
	must(t, err)
	if len(victims) != 0 {
		t.Errorf("victims of paths that exist: %v", victims)
	}
	for _, p := range all {
		w.remove(string(p))
	}
	victims, err = w.client().Victims(t.Context(), w.root(), all)
	must(t, err)
	var got []tree.Path
	for _, v := range victims {
		got = append(got, v.Path)
	}
	slices.SortFunc(got, tree.Compare)
	slices.SortFunc(all, tree.Compare)
	if !slices.Equal(got, all) {
		t.Errorf("victims %q, want %q", got, all)
	}
	w.clean(w.send(rsync.Batch{Gone: all}))
	w.same()
}

func TestTypeSwaps(t *testing.T) {
	w := newWorld(t)
	make := map[string]func(name string) error{
		"file":    func(n string) error { return os.WriteFile(n, []byte("x"), 0o600) },
		"dir":     func(n string) error { return os.MkdirAll(filepath.Join(n, "sub/deep"), 0o700) },
		"symlink": func(n string) error { return os.Symlink("/etc/passwd", n) },
		"fifo":    func(n string) error { return syscall.Mkfifo(n, 0o640) },
		"device":  func(n string) error { return syscall.Mknod(n, syscall.S_IFCHR|0o600, 259) },
	}
	name := filepath.Join(w.src, "x")
	for from, first := range make {
		for to, second := range make {
			w.remove("x")
			must(t, first(name))
			w.clean(w.send(rsync.Batch{Replace: paths("x")}))
			w.remove("x")
			must(t, second(name))
			w.clean(w.send(rsync.Batch{Replace: paths("x")}))
			if to == "dir" {
				w.clean(w.send(rsync.Batch{Deep: paths("x")}))
			}
			if diff := difference(manifest(t, w.src), manifest(t, w.dst)); diff != "" {
				t.Fatalf("%s to %s:\n%s", from, to, diff)
			}
		}
	}
}

func TestLongPathFailsAlone(t *testing.T) {
	w := newWorld(t)
	w.write("ok", "1")
	long := tree.Path(strings.Repeat("d/", 2000) + "f")
	o := w.send(rsync.Batch{Send: append(paths("ok"), long), Attrs: []tree.Path{long}, Gone: []tree.Path{long}})
	if len(o.Failed) != 1 || o.Failed[0].Path != long || o.Failed[0].Class != rsync.Usage {
		t.Fatalf("failed %v", o.Failed)
	}
	if o.Err == nil || o.Err.Class != rsync.Partial {
		t.Errorf("err %v", o.Err)
	}
	w.same()
}

func TestPathOf4000BytesArrives(t *testing.T) {
	w := newWorld(t)
	dir := strings.Repeat(strings.Repeat("d", 199)+"/", 19) // 3800
	name := dir + strings.Repeat("f", 200)
	root, err := os.OpenRoot(w.src)
	must(t, err)
	defer root.Close()
	must(t, root.MkdirAll(dir, 0o755))
	must(t, root.WriteFile(name, []byte("x"), 0o644))
	w.clean(w.send(rsync.Batch{Send: paths(name)}))
	got, err := os.OpenRoot(w.dst)
	must(t, err)
	defer got.Close()
	if b, err := got.ReadFile(name); err != nil || string(b) != "x" {
		t.Errorf("slave has %q, %v", b, err)
	}
}

// A path that is gone before rsync looks is not deleted: no gate has seen it.
func TestVanishedSendIsNotDeleted(t *testing.T) {
	w := newWorld(t)
	w.write("here", "1")
	w.slave("vanished", "precious")
	w.slave("away/x", "precious")
	o := w.send(rsync.Batch{Send: paths("here", "vanished"), Gone: paths("other"), Deep: paths("away")})
	if got := failedPaths(o); !slices.Equal(got, []string{"away", "vanished"}) {
		t.Fatalf("failed %v", o.Failed)
	}
	for _, f := range o.Failed {
		if f.Class != rsync.Transient {
			t.Errorf("%+v", f)
		}
	}
	for _, n := range []string{"vanished", "away/x", "here"} {
		if _, err := os.Lstat(filepath.Join(w.dst, n)); err != nil {
			t.Error(err)
		}
	}
}

// A parent that is missing too gives exit code 24 and a warning.
func TestDeleteBelowMissingParent(t *testing.T) {
	w := newWorld(t)
	w.slave("p/c/f", "x")
	w.clean(w.send(rsync.Batch{Gone: paths("p", "p/c/f")}))
	w.same()
	w.slave("p/c/f", "x")
	o := w.send(rsync.Batch{Gone: paths("p/c/f")})
	w.clean(o)
	if o.Stats.Runs != 2 {
		t.Errorf("%d runs, want a second one that verifies", o.Stats.Runs)
	}
	if _, err := os.Lstat(filepath.Join(w.dst, "p/c/f")); err == nil {
		t.Error("p/c/f is still there")
	}
}

// The root of the slave is the slave's own, whoever lists it.
func TestRootIsNeverTouched(t *testing.T) {
	w := newWorld(t)
	w.slave("precious", "x")
	must(t, os.Chmod(w.dst, 0o711))
	w.clean(w.send(rsync.Batch{Send: paths(""), Attrs: paths(""), Gone: paths("")}))
	fi, err := os.Stat(w.dst)
	must(t, err)
	if _, err := os.Lstat(filepath.Join(w.dst, "precious")); err != nil || fi.Mode().Perm() != 0o711 {
		t.Errorf("%v, %v", err, fi.Mode())
	}
}

func TestGoneThatExistsAgain(t *testing.T) {
	w := newWorld(t)
	w.write("d/new", "1")
	w.slave("d/old", "1")
	o := w.send(rsync.Batch{Gone: paths("d")})
	if len(o.Failed) != 1 || o.Failed[0].What&tree.Deep == 0 {
		t.Fatalf("failed %v", o.Failed)
	}
}

func TestMaxDeleteHolds(t *testing.T) {
	w := newWorld(t)
	for i := range 6 {
		w.slave(fmt.Sprintf("z/%d", i), "x")
	}
	w.slave("y", "x")
	o := w.send(rsync.Batch{Gone: paths("y", "z"), MaxDelete: 3})
	if got := failedPaths(o); !slices.Equal(got, []string{"z"}) {
		t.Fatalf("failed %v, err %v", o.Failed, o.Err)
	}
	left, _ := os.ReadDir(filepath.Join(w.dst, "z"))
	if len(left) != 4 {
		t.Errorf("%d left, want 4", len(left))
	}
}

func TestRemovedSourceDeletesNothing(t *testing.T) {
	w := newWorld(t)
	w.slave("precious", "x")
	root := w.root()
	must(t, os.Remove(w.src))
	o := w.client().Send(t.Context(), root, rsync.Batch{Gone: paths("precious")})
	if o.Err == nil || o.Err.Class != rsync.SourceGone || len(o.Failed) != 1 {
		t.Fatalf("err %v, failed %v", o.Err, o.Failed)
	}
	if _, err := os.Lstat(filepath.Join(w.dst, "precious")); err != nil {
		t.Error(err)
	}
}

// The descriptor decides, not the path.
func TestReplacedRootIsNotRead(t *testing.T) {
	w := newWorld(t)
	w.write("f", "old")
	root := w.root()
	must(t, os.Rename(w.src, w.src+".old"))
	must(t, os.Mkdir(w.src, 0o755))
	w.write("f", "other tree")
	w.clean(w.client().Send(t.Context(), root, rsync.Batch{Send: paths("f"), Deep: nil}))
	b, err := os.ReadFile(filepath.Join(w.dst, "f"))
	if err != nil || string(b) != "old" {
		t.Errorf("slave has %q, %v", b, err)
	}
	must(t, os.RemoveAll(w.src))
	must(t, os.Rename(w.src+".old", w.src))
}

func TestSubdirectoryDest(t *testing.T) {
	w := newWorld(t)
	for _, dir := range []string{"s1", "s[1]", "a b"} {
		must(t, os.Mkdir(filepath.Join(w.dst, dir), 0o755))
	}
	w.write("f", "x")
	for _, dir := range []string{"s[1]", "/a b/"} {
		w.dest.Dir = dir
		w.clean(w.send(rsync.Batch{Send: paths("f")}))
	}
	got := manifest(t, w.dst)
	for name, want := range map[string]bool{"s[1]/f": true, "a b/f": true, "s1/f": false} {
		if _, ok := got[name]; ok != want {
			t.Errorf("%s there: %v", name, ok)
		}
	}
}

func TestHardLinksAndAttributes(t *testing.T) {
	w := newWorld(t)
	w.opts.HardLinks, w.opts.Xattrs, w.opts.ACLs, w.opts.NumericIDs, w.opts.Compress = true, true, true, true, "zstd"
	w.refuse("hard-links !xattrs !acls !numeric-ids !compress*")
	w.write("d/x", strings.Repeat("content", 1000))
	must(t, os.Link(filepath.Join(w.src, "d/x"), filepath.Join(w.src, "d/y")))
	for range 2 {
		w.clean(w.send(rsync.Batch{Send: paths("d/x", "d/y")}))
		w.same()
	}
	x, err := os.Stat(filepath.Join(w.dst, "d/x"))
	must(t, err)
	y, err := os.Stat(filepath.Join(w.dst, "d/y"))
	must(t, err)
	if !os.SameFile(x, y) {
		t.Error("the links were separated")
	}
	w.clean(w.send(rsync.Batch{Attrs: paths("d/x", "d/y"), Deep: paths("d")}))
}

// A directory that only the slave has stands where a listed file goes: it stays,
// whatever else is deleted in the same batch.
func TestDeletesForceNoOtherPath(t *testing.T) {
	for _, flat := range []bool{false, true} {
		t.Run(fmt.Sprintf("flat %v", flat), func(t *testing.T) {
			w := newWorld(t)
			w.write("a", "file here")
			w.write("b", "another")
			w.slave("a/theirs", "directory there")
			w.slave("old", "x")
			o := w.send(rsync.Batch{Send: paths("a", "b"), Gone: paths("old"), Flat: flat, MaxDelete: 100})
			if got := failedPaths(o); !slices.Equal(got, []string{"a"}) {
				t.Errorf("failed %q, %v", got, o.Err)
			}
			if _, err := os.Stat(filepath.Join(w.dst, "a/theirs")); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(w.dst, "old")); err == nil {
				t.Error("old is still there")
			}
		})
	}
}

// A path that was taken for a file and is a directory with content stays.
func TestFlatDeleteSparesDirectories(t *testing.T) {
	w := newWorld(t)
	w.slave("d/theirs", "x")
	w.slave("empty", "x")
	o := w.send(rsync.Batch{Gone: paths("d", "empty"), Flat: true})
	if got := failedPaths(o); !slices.Equal(got, []string{"d"}) || o.Stats.Runs > 2 {
		t.Errorf("failed %q, %v, %+v", got, o.Err, o.Stats)
	}
	if _, err := os.Stat(filepath.Join(w.dst, "d/theirs")); err != nil {
		t.Error(err)
	}
	w.clean(w.send(rsync.Batch{Gone: paths("d")}))
	w.same()
}

// What is overwritten, deleted or makes way is kept; runs that only look leave
// nothing.
func TestBackups(t *testing.T) {
	w := newWorld(t, "refuse options = "+refuse+" !backup !backup-dir")
	w.opts.BackupDir = ".trash"
	w.opts.Filter = []string{"- /.trash"}
	w.write("f", "new")
	w.write("way", "a file")
	w.write("deep/f", "new")
	for _, name := range []string{"f", "way/sub/theirs", "gone/sub/g", "deep/f"} {
		w.slave(name, "old "+name)
	}
	_, err := w.client().Compare(t.Context(), w.root(), paths(""), false, nil)
	must(t, err)
	if _, err := os.Stat(filepath.Join(w.dst, ".trash")); err == nil {
		t.Error("a look left something")
	}
	w.clean(w.send(rsync.Batch{Send: paths("f"), Replace: paths("way"), Gone: paths("gone"), Deep: paths("deep")}))
	for _, name := range []string{"f", "way/sub/theirs", "gone/sub/g", "deep/f"} {
		found, _ := filepath.Glob(filepath.Join(w.dst, ".trash", "*Z", name))
		if len(found) != 1 {
			t.Errorf("%s is not kept", name)
			continue
		}
		if got, _ := os.ReadFile(found[0]); string(got) != "old "+name {
			t.Errorf("%s: %q", name, got)
		}
	}
	must(t, os.RemoveAll(filepath.Join(w.dst, ".trash")))
	w.same()
}
