package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Modes are as wanted whatever the umask is, and what is being made is for
// its owner alone.
func TestUmask(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		t.Run(fmt.Sprintf("%03o", umask), func(t *testing.T) {
			dir := t.TempDir()
			defer syscall.Umask(syscall.Umask(umask))
			sys := Faulty(newMachine(), func(op, path string) error {
				if op == OpAttr && isTemp(filepath.Base(path)) && modeOf(t, path).Perm()&0o077 != 0 {
					t.Fatalf("%s begins with %v", path, modeOf(t, path))
				}
				return nil
			})
			mustConverge(t, sys, slave(dir), none())
			equal(t, "conf", modeOf(t, dir+"/etc/rsyncd.conf"), fs.FileMode(0o644))
			equal(t, "module", modeOf(t, dir+"/www/www"), fs.ModeDir|0o755)
			unchanged(t, dir, sys, slave(dir), none())
		})
	}
}

// A rename is not on disk before its directory is.
func TestEveryRenameIsSynced(t *testing.T) {
	dir := t.TempDir()
	renamed, synced := "", 0
	sys := Faulty(newMachine(), func(op, path string) error {
		if !opWrites(op) {
			return nil
		}
		if renamed != "" {
			equal(t, "after a rename", op+" "+path, OpSyncDir+" "+filepath.Dir(renamed))
			synced++
		}
		renamed = ""
		if op == OpRename {
			renamed = path
		}
		return nil
	})
	mustConverge(t, sys, slave(dir), none())
	equal(t, "renames", synced, 11)
}

// What has another's name is not opened, followed or written through.
func TestSystemFollowsNoLink(t *testing.T) {
	dir, sys := t.TempDir(), NewSystem()
	write(t, dir+"/precious", "mine", 0o640)
	must(t, os.Symlink("precious", dir+"/link"))
	before := manifest(t, dir)
	_, create := sys.Create(dir + "/link")
	_, content := sys.ReadFile(dir + "/link")
	_, lock := sys.Lock(dir+"/link", true)
	for name, err := range map[string]error{
		"create": create, "read": content, "lock": lock, "attr": sys.SetAttr(dir+"/link", Attr{Mode: 0o777, UID: -1, GID: -1}),
	} {
		if err == nil {
			t.Errorf("%s followed a link", name)
		}
	}
	equal(t, "manifest", manifest(t, dir), before)
}

// A pipe at the place of a file neither hangs the run nor is replaced.
func TestPipeInPlaceOfAFile(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/etc", 0o755))
	must(t, syscall.Mkfifo(dir+"/etc/rsyncd.conf", 0o600))
	r := Converge(context.Background(), newMachine(), slave(dir), none())
	equal(t, "code", r.Error.Code, CodeType)
	equal(t, "message", r.Error.Message, dir+"/etc/rsyncd.conf is a special file where a file is wanted")
}

// Two names of one place would undo each other's work in every run.
func TestSamePlaceTwice(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(dir+"/data", 0o755))
	must(t, os.Symlink("data", dir+"/link"))
	want := slave(dir)
	want.Dirs = append(want.Dirs, Dir{Path: dir + "/data/x"}, Dir{Path: dir + "/link/x"})
	r := Converge(context.Background(), newMachine(), want, none())
	equal(t, "exit code", r.ExitCode(false), 2)
	equal(t, "path", r.Error.Path, dir+"/link/x")

	want = slave(dir)
	want.Files = append(want.Files, File{Path: dir + "/data/x/a"}, File{Path: dir + "/link/x/b"})
	mustConverge(t, newMachine(), want, none())
	unchanged(t, dir, newMachine(), want, none())
}

func TestProblems(t *testing.T) {
	cases := []struct {
		err        error
		code, path string
		hint       string
	}{
		{&fs.PathError{Op: "open", Path: "/a", Err: syscall.EACCES}, CodeRights, "/a", "root"},
		{&fs.PathError{Op: "open", Path: "/a", Err: syscall.EROFS}, CodeRights, "/a", "read-only"},
		{&fs.PathError{Op: "open", Path: "/a", Err: syscall.ENOSPC}, CodeFailed, "/a", "space"},
		{&os.LinkError{Op: "rename", Old: "/b", New: "/a", Err: syscall.EBUSY}, CodeFailed, "", "mount"},
		{serviceProblem("x.service", errors.New("job\nfailed")), CodeService, "x.service", "journalctl -u x.service"},
		{serviceProblem("x.service", context.Canceled), CodeInterrupted, "", "again"},
		{doneError{context.DeadlineExceeded}, CodeInterrupted, "", "again"},
		{fmt.Errorf("read: %w", &Problem{Code: "port", Path: "/p", Hint: "h"}), "port", "/p", "h"},
	}
	for _, c := range cases {
		p := toProblem(c.err, "")
		equal(t, c.err.Error(), [2]string{p.Code, p.Path}, [2]string{c.code, c.path})
		if !strings.Contains(p.Hint, c.hint) || strings.Contains(p.Message, "\n") {
			t.Errorf("%v: %+v", c.err, p)
		}
	}
}
