package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// scenario is a start and what is wanted from there.
type scenario struct {
	name  string
	start func(t *testing.T, dir string, sys machine)
	want  func(dir string) Desired
	force bool
}

func scenarios() []scenario {
	changed := func(dir string) Desired {
		want := slave(dir)
		want.Files[1].Content = []byte("port = 8730\n")
		want.Files[2].Content = []byte("repl:new-" + secretWord + "\n")
		want.Absent = []Absent{{Path: want.Files[3].Path}}
		want.Files = want.Files[:3]
		want.Dirs = append(want.Dirs, Dir{Path: dir + "/bbs", OwnerOnCreate: true, Mode: 0o750})
		return want
	}
	installed := func(t *testing.T, dir string, sys machine) {
		mustConverge(t, sys, slave(dir), systemd())
		must(t, os.Chmod(dir+"/etc", 0o700))
	}
	return []scenario{
		{name: "fresh", start: func(*testing.T, string, machine) {}, want: slave},
		{name: "update", start: installed, want: changed},
		{name: "force", start: func(t *testing.T, dir string, sys machine) {
			installed(t, dir, sys)
			for _, f := range []string{"/etc/rsyncd.conf", "/etc/rsyncd.secrets", "/etc/60-syncagent.conf"} {
				write(t, dir+f, "by hand "+secretWord+"\n", 0o600)
			}
		}, want: changed, force: true},
	}
}

// Whichever step is the last of a killed run, or fails, the next run ends
// where an undisturbed one does, no file is ever half written or gone, no
// secret is ever readable by others, and the report tells what was done.
func TestEveryStepMayBeTheLast(t *testing.T) {
	for _, s := range scenarios() {
		for _, fault := range []error{ErrKilled, errors.New("no space left on device")} {
			t.Run(fmt.Sprintf("%s/%v", s.name, fault), func(t *testing.T) {
				goal, steps := undisturbed(t, s)
				if steps < 20 {
					t.Fatalf("only %d steps seen", steps)
				}
				for n := range steps {
					disturbed(t, s, goal, n, fault)
				}
			})
		}
	}
}

// outcome is what a run left, and what its services got.
type outcome struct {
	files map[string]entry
	state UnitState
}

func undisturbed(t *testing.T, s scenario) (outcome, int) {
	dir, sys := t.TempDir(), newMachine()
	s.start(t, dir, sys)
	steps := 0
	counted := Faulty(sys, func(op, _ string) error {
		if opWrites(op) {
			steps++
		}
		return nil
	})
	mustConverge(t, counted, s.want(dir), s.options())
	return outcome{settled(t, dir), sys.mgr.state["receiver.service"]}, steps
}

func (s scenario) options() Options { return Options{Service: "systemd", Force: s.force} }

// settled is everything but the record, whose text names the directory.
func settled(t *testing.T, dir string) map[string]entry {
	m := contents(t, dir)
	delete(m, "/state/init.json")
	unit := m["/etc/receiver.service"]
	unit.Content = strings.ReplaceAll(unit.Content, dir, "")
	m["/etc/receiver.service"] = unit
	return m
}

func disturbed(t *testing.T, s scenario, goal outcome, n int, fault error) {
	t.Helper()
	dir, sys := t.TempDir(), newMachine()
	s.start(t, dir, sys)
	sys.mgr.take()
	before := contents(t, dir)
	step, where := 0, ""
	broken := Faulty(sys, func(op, path string) error {
		if !opWrites(op) {
			return nil
		}
		guardSecrets(t, dir)
		if step++; step == n+1 {
			where = op + " " + strings.TrimPrefix(path, dir)
			return fault
		}
		return nil
	})
	r := Converge(context.Background(), broken, s.want(dir), s.options())
	if !r.Failed && len(r.Warnings) == 0 && !strings.HasPrefix(where, OpRemove) {
		t.Fatalf("step %d (%s) failed without notice", n, where)
	}
	guardSecrets(t, dir)
	if fault != ErrKilled {
		tidy(t, dir, where)
	}
	noHalfFile(t, s, dir, where, before)
	truthful(t, dir, where, before, r)

	got := sys.mgr.take()
	again := mustConverge(t, sys, s.want(dir), s.options())
	told(t, where, r, again, append(got, sys.mgr.take()...))
	if diff := cmp.Diff(goal.files, settled(t, dir)); diff != "" {
		t.Fatalf("after step %d (%s) (-want +got):\n%s", n, where, diff)
	}
	equal(t, "unit after "+where, sys.mgr.state["receiver.service"], goal.state)
	unchanged(t, dir, sys, s.want(dir), s.options())
}

// guardSecrets fails if a file that holds a secret can be read by others.
func guardSecrets(t *testing.T, dir string) {
	t.Helper()
	for path, e := range manifest(t, dir) {
		if strings.Contains(e.Content, secretWord) && e.Mode.Perm()&0o077 != 0 {
			t.Fatalf("%s has a secret and mode %v", path, e.Mode)
		}
	}
}

// tidy fails if a run that failed but was not killed left a temporary file.
func tidy(t *testing.T, dir, where string) {
	t.Helper()
	for path := range manifest(t, dir) {
		if isTemp(filepath.Base(path)) {
			t.Fatalf("%s left after %s", path, where)
		}
	}
}

// noHalfFile fails unless each file is as it was, as wanted, or a temporary
// one of ours.
func noHalfFile(t *testing.T, s scenario, dir, where string, before map[string]entry) {
	t.Helper()
	allowed := map[string][]string{}
	for path, e := range before {
		allowed[path] = append(allowed[path], e.Content)
		allowed[path+backupSuffix] = append(allowed[path+backupSuffix], e.Content)
	}
	for _, f := range s.want(dir).files() {
		path := strings.TrimPrefix(f.Path, dir)
		allowed[path] = append(allowed[path], string(f.Content))
	}
	now := contents(t, dir)
	for path, e := range now {
		ours := isTemp(filepath.Base(path)) || strings.HasPrefix(path, "/state/")
		if e.Mode.IsRegular() && !ours && !slices.Contains(allowed[path], e.Content) {
			t.Fatalf("%s after %s: %q", path, where, e.Content)
		}
	}
	for path, e := range before {
		if _, ok := now[path]; !ok && e.Mode.IsRegular() && path != "/etc/60-syncagent.conf" && !isTemp(filepath.Base(path)) {
			t.Fatalf("%s is gone after %s", path, where)
		}
	}
}

// truthful fails unless exactly the reported paths differ from before.
func truthful(t *testing.T, dir, where string, before map[string]entry, r Report) {
	t.Helper()
	reported := map[string]bool{}
	for _, c := range r.Changes {
		if c.Kind != KindService {
			reported[strings.TrimPrefix(c.Path, dir)] = true
		}
	}
	now, changed := contents(t, dir), map[string]bool{}
	for _, path := range append(sortedKeys(before), sortedKeys(now)...) {
		ours := isTemp(filepath.Base(path)) || strings.HasPrefix(path, "/state/")
		if before[path] != now[path] && !ours {
			changed[path] = true
		}
	}
	equal(t, "reported after "+where, reported, changed)
	equal(t, "changed after "+where, r.Changed, len(r.Changes) > 0)
}

// told fails unless the running service was restarted after the last change
// of its files.
func told(t *testing.T, where string, first, second Report, calls []string) {
	t.Helper()
	for _, call := range calls {
		if call == "start receiver.service" || call == "restart receiver.service" {
			return
		}
	}
	t.Fatalf("no restart after %s: %v, then %v: %v", where, first.Changes, second.Changes, calls)
}

// A run killed before its file was recorded is not taken for a hand's work,
// although the next run wants something else.
func TestKilledRunIsNotDrift(t *testing.T) {
	for _, killAt := range []string{OpRename, OpSyncDir} {
		dir, sys := t.TempDir(), newMachine()
		mustConverge(t, sys, slave(dir), none())
		for _, text := range []string{"second\n", "third\n", "fourth\n"} {
			want := slave(dir)
			want.Files[1].Content = []byte(text)
			seen := false
			killed := Faulty(sys, func(op, path string) error {
				if seen = seen || op == OpRename && path == want.Files[1].Path; seen && op == killAt {
					return ErrKilled
				}
				return nil
			})
			r := Converge(context.Background(), killed, want, none())
			equal(t, "failed", r.Failed, true)
			if r.Error.Code == CodeDrift {
				t.Fatalf("%s: %s", text, r.Error.Message)
			}
		}
		mustConverge(t, sys, slave(dir), none())
		unchanged(t, dir, sys, slave(dir), none())
	}
}

// Leftovers of ours go even if nothing else is to be done; what only looks
// similar, or lies where anyone's files are, stays.
func TestLeftovers(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	mustConverge(t, sys, slave(dir), none())
	for _, gone := range []string{"/etc/.rsyncd.conf.syncagent-tmp", "/etc/.old.conf.syncagent-tmp", "/state/.init.json.syncagent-tmp"} {
		write(t, dir+gone, "half", 0o600)
	}
	must(t, os.Mkdir(dir+"/www/.www.syncagent-tmp", 0o700))
	keep := []string{"/etc/rsyncd.conf.syncagent-tmp", "/etc/.rsyncd.conf.tmp", "/www/.x.syncagent-tmp", "/www/www/.x.syncagent-tmp"}
	for _, path := range keep {
		write(t, dir+path, "mine", 0o600)
	}
	mustConverge(t, sys, slave(dir), none())
	var left []string
	for path := range contents(t, dir) {
		if strings.Contains(path, "tmp") {
			left = append(left, path)
		}
	}
	slices.Sort(left)
	slices.Sort(keep)
	equal(t, "left", left, keep)
	unchanged(t, dir, sys, slave(dir), none())
}

// Owner and mode stand before the first byte does.
func TestAttributesBeforeContent(t *testing.T) {
	dir := t.TempDir()
	var ops []string
	traced := Faulty(newMachine(), func(op, path string) error {
		if strings.Contains(path, "rsyncd.secrets") && opWrites(op) {
			ops = append(ops, op)
		}
		return nil
	})
	mustConverge(t, traced, slave(dir), none())
	equal(t, "order", ops, []string{OpCreate, OpAttr, OpWrite, OpClose, OpRename})
}

// Missing rights are a code of their own, and name the path.
func TestRights(t *testing.T) {
	dir := t.TempDir()
	denied := Faulty(newMachine(), func(op, path string) error {
		if op == OpCreate && strings.Contains(path, "rsyncd.conf") {
			return &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
		}
		return nil
	})
	r := Converge(context.Background(), denied, slave(dir), none())
	equal(t, "code", r.Error.Code, CodeRights)
	equal(t, "path", r.Error.Path, dir+"/etc/rsyncd.conf")
	equal(t, "exit code", r.ExitCode(true), 1)
}

// A check run cannot write even if its plan were wrong.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	sys := ReadOnly(newMachine())
	_, create := sys.Create(dir + "/a")
	_, lock := sys.Lock(dir+"/a", true)
	for i, err := range []error{
		create, lock, sys.Mkdir(dir + "/a"), sys.Symlink("b", dir+"/a"), sys.SetAttr(dir, Attr{}), sys.SyncDir(dir),
		sys.Rename(dir, dir+"b"), sys.Remove(dir), sys.Do(context.Background(), "start", "a"),
	} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%d: %v", i, err)
		}
	}
	equal(t, "entries", len(manifest(t, dir)), 1)
}
