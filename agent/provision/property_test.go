package provision

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The worlds of these tests are small, so that wanted and found entries meet.
func drawPath(t *rapid.T, dir string) string {
	parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 3).Draw(t, "path")
	return filepath.Join(append([]string{dir}, parts...)...)
}

func drawText(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "one\n", "two\n", "1\n2\n3\n"}).Draw(t, "text")
}

func drawMode(t *rapid.T) fs.FileMode {
	mode := rapid.SampledFrom([]fs.FileMode{0, 0o600, 0o644, 0o755, 0o2750}).Draw(t, "mode")
	if mode != 0 && os.Geteuid() != 0 {
		mode |= 0o700 // only root may look into a directory without
	}
	return mode
}

func drawEffect(t *rapid.T) (Effect, string) {
	e := rapid.SampledFrom([]Effect{None, Reload, Restart}).Draw(t, "effect")
	if e == None {
		return None, ""
	}
	return e, rapid.SampledFrom([]string{"x.service", "y.service"}).Draw(t, "service")
}

func drawDesired(t *rapid.T, dir string) Desired {
	want := Desired{StateDir: dir + "/state"}
	if rapid.Bool().Draw(t, "state is below a wanted directory") {
		want.StateDir = dir + "/a/state"
	}
	seen := map[string]bool{}
	for range rapid.IntRange(0, 7).Draw(t, "entries") {
		path := drawPath(t, dir)
		if seen[path] {
			continue
		}
		seen[path] = true
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			want.Dirs = append(want.Dirs, Dir{Path: path, Mode: drawMode(t), OwnerOnCreate: rapid.Bool().Draw(t, "on create")})
		case 1:
			e, s := drawEffect(t)
			want.Absent = append(want.Absent, Absent{Path: path, Effect: e, Service: s})
		case 2:
			f := drawFile(t, path)
			want.Units = append(want.Units, Unit{
				Name: fmt.Sprintf("u%d.service", len(want.Units)), File: &f,
				Enable: rapid.Bool().Draw(t, "enable"), Start: rapid.Bool().Draw(t, "start"),
			})
		default:
			want.Files = append(want.Files, drawFile(t, path))
		}
	}
	return want
}

func drawFile(t *rapid.T, path string) File {
	e, s := drawEffect(t)
	return File{
		Path: path, Content: []byte(drawText(t)), Mode: drawMode(t).Perm(), Effect: e, Service: s,
		User: rapid.Bool().Draw(t, "user"), Secret: rapid.Bool().Draw(t, "secret"),
	}
}

// drawDamage puts anything anywhere.
func drawDamage(t *rapid.T, dir string) {
	for range rapid.IntRange(0, 5).Draw(t, "damages") {
		path := drawPath(t, dir)
		// Failures are as good a start as any other.
		switch rapid.IntRange(0, 6).Draw(t, "damage") {
		case 0:
			_ = os.RemoveAll(path)
		case 1:
			_ = os.MkdirAll(path, 0o700)
		case 2:
			_ = os.Symlink(drawPath(t, dir), path)
		case 3:
			_ = os.Chmod(path, 0o711)
		case 4:
			_ = os.WriteFile(tempName(path), []byte("half"), 0o600)
		default:
			_ = os.MkdirAll(filepath.Dir(path), 0o755)
			_ = os.WriteFile(path, []byte(drawText(t)), 0o640)
		}
	}
}

func drawUnits(t *rapid.T, m *fakeManager) {
	for _, unit := range []string{"x.service", "y.service", "u0.service", "u1.service"} {
		m.state[unit] = UnitState{
			Active: rapid.Bool().Draw(t, "active"), Enabled: rapid.Bool().Draw(t, "enabled"), Masked: rapid.Bool().Draw(t, "masked"),
		}
	}
}

// world is a random host with some history.
func world(t *rapid.T) (dir string, sys machine, want Desired, opt Options) {
	dir, err := os.MkdirTemp("", "world")
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	sys = newMachine()
	opt = Options{
		Force: rapid.Bool().Draw(t, "force"), Diff: true,
		Service: rapid.SampledFrom([]string{"none", "systemd"}).Draw(t, "manager"),
	}
	drawUnits(t, sys.mgr)
	if rapid.Bool().Draw(t, "ran before") {
		Converge(context.Background(), sys, drawDesired(t, dir), opt)
	}
	drawDamage(t, dir)
	drawUnits(t, sys.mgr)
	return dir, sys, drawDesired(t, dir), opt
}

// A check predicts the very report of the run and touches nothing; after the
// run the wanted state holds, and another run is idle.
func TestCheckIsTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, sys, want, opt := world(t)
		before := manifest(t, dir)
		check := opt
		check.Check = true
		sys.mgr.take()
		predicted := Converge(context.Background(), sys, want, check)
		if diff := cmp.Diff(before, manifest(t, dir)); diff != "" || len(sys.mgr.take()) > 0 {
			t.Fatalf("check touched something:\n%s", diff)
		}
		r := Converge(context.Background(), sys, want, opt)
		if diff := cmp.Diff(predicted, asCheck(r)); diff != "" {
			t.Fatalf("check (-) differs from run (+):\n%s", diff)
		}
		if r.Failed {
			if diff := cmp.Diff(before, manifest(t, dir)); diff != "" {
				t.Fatalf("refused with %q but touched something:\n%s", r.Msg, diff)
			}
			return
		}
		holds(t, sys, want)
		opt.Force = false
		unchanged(t, dir, sys, want, opt)
	})
}

// holds fails unless every wanted entry is there.
func holds(t fataler, sys machine, want Desired) {
	t.Helper()
	for _, f := range want.files() {
		if got := read(t, f.Path); got != string(f.Content) {
			t.Fatalf("%s holds %q", f.Path, got)
		}
		if mode := modeOf(t, f.Path); mode.IsRegular() && f.Mode != 0 && mode != normalMode(f.Mode) {
			t.Fatalf("%s has mode %v", f.Path, mode)
		}
	}
	for _, d := range want.Dirs {
		if mode := modeOf(t, d.Path); !d.OwnerOnCreate && d.Mode != 0 && mode != fs.ModeDir|normalMode(d.Mode) {
			t.Fatalf("%s has mode %v", d.Path, mode)
		}
	}
	for _, a := range want.Absent {
		if _, err := sys.Lstat(a.Path); !missing(err) {
			t.Fatalf("%s is still there: %v", a.Path, err)
		}
	}
}

// A run that is killed anywhere, and a next one killed too, are made good by
// a third. Files edited by hand are as they were, or in the backup.
func TestKilledAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, sys, want, opt := world(t)
		r := Converge(context.Background(), sys, want, Options{Check: true, Force: opt.Force, Service: opt.Service})
		if r.Failed {
			t.Skip("nothing is written")
		}
		for range 2 {
			left := rapid.IntRange(0, 40).Draw(t, "steps")
			Converge(context.Background(), Faulty(sys, func(op, _ string) error {
				if opWrites(op) {
					left--
				}
				if left < 0 {
					return ErrKilled
				}
				return nil
			}), want, opt)
		}
		mustConverge(t, sys, want, opt)
		holds(t, sys, want)
		unchanged(t, dir, sys, want, opt)
		for path := range contents(t, dir) {
			if isTemp(filepath.Base(path)) && ourPlace(dir+path, want) {
				t.Fatalf("leftover %s", path)
			}
		}
	})
}

// ourPlace tells whether leftovers with any name are ours there.
func ourPlace(path string, want Desired) bool {
	for _, f := range want.files() {
		if filepath.Dir(f.Path) == filepath.Dir(path) && modeIsFile(path) {
			return true
		}
	}
	return false
}

func modeIsFile(path string) bool {
	fi, err := os.Lstat(path)
	return err == nil && fi.Mode().IsRegular()
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(dir+"/a/b", 0o755))
	for name, target := range map[string]string{"/a/abs": "/c", "/a/rel": "../c", "/a/up": "../../../../c", "/loop": "loop", "/two": "a/abs"} {
		must(t, os.Symlink(target, dir+name))
	}
	cases := map[string]string{
		"/": "", "/x/y": "/x/y", "/a/b": "/a/b", "/a/abs/x": "/c/x", "/a/rel/x": "/c/x", "/a/up": "/c", "/two/x": "/c/x",
	}
	for path, want := range cases {
		got, err := resolve(NewSystem(), dir, path)
		must(t, err)
		equal(t, path, got, dir+want)
	}
	if got, err := resolve(NewSystem(), dir, "/loop/x"); err == nil {
		t.Fatalf("a loop leads to %s", got)
	}
	got, err := resolve(NewSystem(), "", dir+"/a/rel")
	must(t, err)
	equal(t, "without a root", got, dir+"/c")
}

// resolve agrees with the kernel about every path that exists, when the
// staging directory is the whole of it, and never leads out of it.
func TestResolveStaysInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "root")
		if err != nil {
			t.Fatalf("%v", err)
		}
		defer os.RemoveAll(dir)
		drawLinks(t, dir)
		path := strings.TrimPrefix(drawPath(t, dir), dir)
		got, err := resolve(NewSystem(), dir, path)
		if err != nil {
			return // a loop
		}
		if got != dir && !strings.HasPrefix(got, dir+"/") {
			t.Fatalf("%s leads to %s", path, got)
		}
		if real, err := filepath.EvalSymlinks(got); err == nil && real != got {
			t.Fatalf("%s leads to %s, which is %s", path, got, real)
		}
	})
}

// drawLinks makes links that lead anywhere. It works through a root handle,
// since a later link may be drawn below an earlier one that leads out.
func drawLinks(t *rapid.T, dir string) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer root.Close()
	for range rapid.IntRange(0, 6).Draw(t, "links") {
		path := strings.TrimPrefix(drawPath(t, dir), dir+"/")
		target := rapid.SampledFrom([]string{"../../../etc", "/etc", "a", "/a/b", "../b", ".", "/", ".."}).Draw(t, "target")
		_ = root.MkdirAll(filepath.Dir(path), 0o755)
		_ = root.Symlink(target, path)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"schema_version":1,"files":{"/a":["x"]},"owed":{"systemd":{"a.service":{"restart":true,"reasons":["y"]}}}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err != nil && !r.equal(newRecord()) {
			t.Fatalf("an error and a record: %+v", r)
		}
		again, err := parseRecord(r.encode())
		if err != nil || !again.equal(r) {
			t.Fatalf("%+v does not come back: %+v, %v", r, again, err)
		}
	})
}
