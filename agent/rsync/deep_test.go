package rsync_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

func extras(list []rsync.Extra) []string {
	var out []string
	for _, e := range list {
		name := string(e.Path)
		if e.Dir {
			name += "/"
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func TestDeepRootListsExtrasAndDeletesNothing(t *testing.T) {
	w := newWorld(t)
	w.write("a/b/f", "1")
	w.write("g", "2")
	w.slave("a/extra/x", "x")
	w.slave("top-extra", "x")
	must(t, os.Chmod(w.dst, 0o711))
	stamp := time.Unix(1_000_000_000, 0)
	must(t, os.Chtimes(w.src, stamp, stamp))
	o := w.send(rsync.Batch{Deep: paths("")})
	w.clean(o)
	if got := extras(o.Extras); !slices.Equal(got, []string{"a/extra/", "a/extra/x", "top-extra"}) {
		t.Errorf("extras %v", got)
	}
	if len(o.Differ) != 0 || o.Stats.Entries != 4 || o.Stats.Deletes != 0 || o.Stats.Runs != 2 {
		t.Errorf("differ %v, stats %+v", o.Differ, o.Stats)
	}
	root, err := os.Stat(w.dst)
	must(t, err)
	if root.Mode().Perm() != 0o711 || root.ModTime().Equal(stamp) {
		t.Errorf("the slave's root was changed: %v %v", root.Mode(), root.ModTime())
	}
	w.clean(w.send(rsync.Batch{Gone: paths("a/extra", "top-extra")}))
	w.same()
}

func TestDeepNewDirectoryCostsOneRun(t *testing.T) {
	w := newWorld(t)
	w.write("new/sub/f", "1")
	w.slave("elsewhere", "x")
	o := w.send(rsync.Batch{Deep: paths("new")})
	w.clean(o)
	if o.Stats.Runs != 1 || len(o.Extras) != 0 || o.Stats.Entries != 3 {
		t.Errorf("stats %+v, extras %v", o.Stats, o.Extras)
	}
}

func TestDeepHonoursFilter(t *testing.T) {
	w := newWorld(t)
	w.opts.Filter = []string{"- /cache/", "--filter=- *.tmp"}
	w.write("a/f", "1")
	w.write("a/x.tmp", "1")
	w.write("cache/f", "1")
	w.slave("a/y.tmp", "x")
	w.slave("cache/g", "x")
	w.slave("kept/z.tmp", "x") // a directory for nothing but excluded content
	o := w.send(rsync.Batch{Deep: paths("")})
	w.clean(o)
	if len(o.Extras) != 0 || len(o.Differ) != 0 {
		t.Errorf("extras %v, differ %v", o.Extras, o.Differ)
	}
	got := manifest(t, w.dst)
	for name, want := range map[string]bool{"a/f": true, "a/x.tmp": false, "cache/f": false, "a/y.tmp": true, "cache/g": true, "kept/z.tmp": true} {
		if _, ok := got[name]; ok != want {
			t.Errorf("%s on the slave: %v", name, ok)
		}
	}
}

// A sweep must not remove a directory of the slave that stands in the way of a
// file: nothing passed the gate. It becomes a mark of that file.
func TestDeepReportsTypeSwap(t *testing.T) {
	w := newWorld(t)
	w.write("a/f", "1")
	w.write("a/g", "2")
	w.slave("a/f/full/of", "x")
	o := w.send(rsync.Batch{Deep: paths("a")})
	w.clean(o)
	if !slices.Contains(o.Differ, "a/f") {
		t.Errorf("differ %v", o.Differ)
	}
	if got := extras(o.Extras); !slices.Equal(got, []string{"a/f/full/", "a/f/full/of"}) {
		t.Errorf("extras %v", got)
	}
	if _, err := os.Lstat(filepath.Join(w.dst, "a/f/full/of")); err != nil {
		t.Error(err)
	}
	o = w.send(rsync.Batch{Send: paths("a/f")})
	if len(o.Failed) != 1 || o.Failed[0].What&tree.Deep == 0 {
		t.Errorf("without leave to replace a directory: failed %v", o.Failed)
	}
	w.clean(w.send(rsync.Batch{Replace: paths("a/f")}))
	w.same()
}

func TestDeepOfAFileSendsContent(t *testing.T) {
	w := newWorld(t)
	stamp := time.Unix(1_600_000_000, 5)
	for _, content := range []string{"one", "two"} {
		w.write("f", content)
		must(t, os.Chtimes(filepath.Join(w.src, "f"), stamp, stamp))
		w.clean(w.send(rsync.Batch{Deep: paths("f")}))
		w.same()
	}
}

func TestCompare(t *testing.T) {
	w := newWorld(t)
	w.write("a/same", "1")
	w.write("a/drift", "1")
	w.write("a/attr", "1")
	w.write("missing", "1")
	w.clean(w.send(rsync.Batch{Deep: paths("a")}))
	w.slave("a/extra", "x")
	must(t, os.Chmod(filepath.Join(w.dst, "a/attr"), 0o600))
	stamp := time.Unix(1_600_000_000, 5)
	writeFile(t, filepath.Join(w.dst, "a/drift"), "2")
	for _, root := range []string{w.src, w.dst} {
		must(t, os.Chtimes(filepath.Join(root, "a/drift"), stamp, stamp))
		must(t, os.Chtimes(filepath.Join(root, "a"), stamp, stamp))
	}
	before := manifest(t, w.dst)
	for _, checksum := range []bool{false, true} {
		d, err := w.client().Compare(t.Context(), w.root(), paths(""), checksum, nil)
		must(t, err)
		var got []string
		for _, c := range d.Differ {
			got = append(got, string(c.Path))
		}
		slices.Sort(got)
		want := []string{"a/attr", "missing"}
		if checksum {
			want = []string{"a/attr", "a/drift", "missing"}
		}
		if !slices.Equal(got, want) || d.Entries != 5 {
			t.Errorf("checksum %v: differ %v of %d, want %v", checksum, got, d.Entries, want)
		}
		if got := extras(d.Extras); !slices.Equal(got, []string{"a/extra"}) {
			t.Errorf("extras %v", got)
		}
	}
	if diff := difference(before, manifest(t, w.dst)); diff != "" {
		t.Errorf("compare changed the slave:\n%s", diff)
	}
}

func TestVictims(t *testing.T) {
	w := newWorld(t)
	w.write("k/stays", "1")
	w.slave("k/g/h/i", "x")
	w.slave("k/f", "x")
	w.slave("k/stays", "x")
	before := manifest(t, w.dst)
	got, err := w.client().Victims(t.Context(), w.root(), paths("k/g", "k/f", "none", "k/stays"))
	must(t, err)
	if names := extras(got); !slices.Equal(names, []string{"k/f", "k/g/", "k/g/h/", "k/g/h/i"}) {
		t.Errorf("victims %v", names)
	}
	if diff := difference(before, manifest(t, w.dst)); diff != "" {
		t.Errorf("victims changed the slave:\n%s", diff)
	}
	got, err = w.client().Victims(t.Context(), w.root(), nil)
	if len(got) != 0 || err != nil {
		t.Errorf("no paths: %v, %v", got, err)
	}
}

// What is left out is neither sent nor taken for extra nor for different.
func TestDeepLeavesOut(t *testing.T) {
	w := newWorld(t)
	dir := w.root()
	defer dir.Close()
	for _, name := range []string{"d/a", "d/sub/out", "d/-odd name#", "other/out"} {
		must(t, os.MkdirAll(filepath.Join(w.src, filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(w.src, name), []byte("1"), 0o644))
	}
	must(t, os.MkdirAll(filepath.Join(w.dst, "d/sub"), 0o755))
	must(t, os.WriteFile(filepath.Join(w.dst, "d/sub/out"), []byte("older"), 0o644))
	c := rsync.New(rsync.Config{Source: w.src, Dest: w.dest, Options: w.opts, Spawner: w.sp})
	out := c.Send(t.Context(), dir, rsync.Batch{Deep: paths("d", "other"), Leave: paths("d/sub/out", "d/-odd name#")})
	w.clean(out)
	if len(out.Extras)+len(out.Differ) > 0 {
		t.Errorf("outcome is %+v", out)
	}
	for name, want := range map[string]string{"d/a": "1", "d/sub/out": "older", "d/-odd name#": "", "other/out": "1"} {
		got, _ := os.ReadFile(filepath.Join(w.dst, name))
		if string(got) != want {
			t.Errorf("slave has %q in %s, want %q", got, name, want)
		}
	}
}

func TestCanLeave(t *testing.T) {
	for p, want := range map[tree.Path]bool{"a/b c": true, "-x#;": true, "": false, "a*": false, "a?": false, "[a]": false, `a\b`: false, "a\nb": false, "a ": false} {
		if rsync.CanLeave(p) != want {
			t.Errorf("CanLeave(%q) is %v", p, !want)
		}
	}
}
