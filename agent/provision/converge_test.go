package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

func TestFreshHost(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	check := systemd()
	check.Check = true
	before := manifest(t, dir)
	predicted := mustConverge(t, sys, slave(dir), check)
	equal(t, "after the check", manifest(t, dir), before)
	equal(t, "calls of the check", sys.mgr.take(), []string(nil))

	r := mustConverge(t, sys, slave(dir), systemd())
	want := []string{
		"create directory state mode",
		"create directory etc mode",
		"create directory www mode",
		"create directory www/www mode",
		"create file etc/receiver.yaml content,mode",
		"create file etc/rsyncd.conf content,mode",
		"create file etc/rsyncd.secrets content,mode",
		"create sysctl etc/60-syncagent.conf content,mode",
		"create file etc/receiver.service content,mode",
		"enable service receiver.service",
		"start service receiver.service",
	}
	equal(t, "changes", brief(dir, r.Changes), want)
	equal(t, "predicted", predicted.Changes, r.Changes)
	equal(t, "calls", sys.mgr.take(), []string{"daemon-reload", "enable receiver.service", "start receiver.service"})
	equal(t, "mode of secret", modeOf(t, dir+"/etc/rsyncd.secrets"), fs.FileMode(0o600))
	equal(t, "mode of state", modeOf(t, dir+"/state"), fs.ModeDir|0o700)
	equal(t, "mode of record", modeOf(t, dir+"/state/init.json"), fs.FileMode(0o600))
	equal(t, "state", len(manifest(t, dir+"/state")), 3)
	if strings.Contains(read(t, dir+"/state/init.json"), "receiver.yaml") {
		t.Fatal("the record watches the user's own file")
	}
	unchanged(t, dir, sys, slave(dir), systemd())
	equal(t, "calls of the second run", sys.mgr.take(), []string(nil))
}

// Every kind of damage is repaired and named, and nothing else is touched.
func TestRepair(t *testing.T) {
	cases := []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   []string
		calls  []string
	}{
		{
			"mode of secret", func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/etc/rsyncd.secrets", 0o644)) },
			[]string{"update file etc/rsyncd.secrets mode"},
			nil,
		},
		{
			"mode of directory", func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/etc", 0o777)) },
			[]string{"update directory etc mode"},
			nil,
		},
		{
			"missing file", func(t *testing.T, dir string) { must(t, os.Remove(dir+"/etc/rsyncd.secrets")) },
			[]string{"create file etc/rsyncd.secrets content,mode", "reload service receiver.service"},
			[]string{"reload receiver.service"},
		},
		{"link in place of a file", func(t *testing.T, dir string) {
			must(t, os.Rename(dir+"/etc/rsyncd.conf", dir+"/elsewhere"))
			must(t, os.Symlink("../elsewhere", dir+"/etc/rsyncd.conf"))
		}, []string{"update file etc/rsyncd.conf content,mode", "restart service receiver.service"}, []string{"restart receiver.service"}},
		{"masked by a link", func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/etc/receiver.service"))
			must(t, os.Symlink("/dev/null", dir+"/etc/receiver.service"))
		}, []string{"update file etc/receiver.service content,mode", "restart service receiver.service"}, []string{"daemon-reload", "restart receiver.service"}},
		{
			"the user's file edited", func(t *testing.T, dir string) { write(t, dir+"/etc/receiver.yaml", "port: 1\n", 0o640) },
			[]string{"update file etc/receiver.yaml content"},
			nil,
		},
		{
			"missing module", func(t *testing.T, dir string) { must(t, os.RemoveAll(dir+"/www")) },
			[]string{"create directory www mode", "create directory www/www mode"},
			nil,
		},
		{"mode of module", func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/www/www", 0o700)) }, nil, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir, sys := t.TempDir(), newMachine()
			mustConverge(t, sys, slave(dir), systemd())
			sys.mgr.take()
			c.damage(t, dir)
			r := mustConverge(t, sys, slave(dir), systemd())
			equal(t, "changes", brief(dir, r.Changes), c.want)
			equal(t, "calls", sys.mgr.take(), c.calls)
			unchanged(t, dir, sys, slave(dir), systemd())
		})
	}
}

func TestRepairOfALinkLeavesItsTargetAlone(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	write(t, dir+"/precious", "mine", 0o644)
	must(t, os.Mkdir(dir+"/etc", 0o755))
	must(t, os.Symlink(dir+"/precious", dir+"/etc/rsyncd.conf"))
	r := mustConverge(t, sys, slave(dir), none())
	equal(t, "precious", read(t, dir+"/precious"), "mine")
	for _, d := range r.Diff {
		if strings.HasSuffix(d.BeforeHeader, "rsyncd.conf") {
			equal(t, "before", d.Before, any("symbolic link to "+dir+"/precious\n"))
		}
	}
	equal(t, "type", modeOf(t, dir+"/etc/rsyncd.conf").IsRegular(), true)
}

// A configuration mounted by links, as container platforms do, stays.
func TestUsersLinkToTheWantedContentStays(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	write(t, dir+"/etc/..1/receiver.yaml", "port: 873\n", 0o644)
	must(t, os.Symlink("..1", dir+"/etc/..data"))
	must(t, os.Symlink("..data/receiver.yaml", dir+"/etc/receiver.yaml"))
	mustConverge(t, sys, slave(dir), none())
	equal(t, "type", modeOf(t, dir+"/etc/receiver.yaml").Type(), fs.ModeSymlink)

	write(t, dir+"/etc/..1/receiver.yaml", "port: 1\n", 0o644)
	mustConverge(t, sys, slave(dir), none())
	equal(t, "content", read(t, dir+"/etc/receiver.yaml"), "port: 873\n")
	equal(t, "target", read(t, dir+"/etc/..1/receiver.yaml"), "port: 1\n")
}

// A link stays only while nothing of ours changes what it leads to.
func TestUsersLinkToAFileOfOursGoes(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	write(t, dir+"/b", "one\n", 0o644)
	must(t, os.Symlink("b", dir+"/c"))
	must(t, os.Symlink("c", dir+"/d"))
	want := Desired{StateDir: dir + "/state", Files: []File{
		{Path: dir + "/c", Content: []byte("one\n"), User: true},
		{Path: dir + "/d", Content: []byte("one\n"), User: true},
		{Path: dir + "/b", Content: []byte("two\n"), User: true},
	}}
	mustConverge(t, sys, want, none())
	equal(t, "b", read(t, dir+"/b"), "two\n")
	equal(t, "c", read(t, dir+"/c"), "one\n")
	equal(t, "d", modeOf(t, dir+"/d").IsRegular(), true)
	unchanged(t, dir, sys, want, none())
}

// What cannot be repaired without losing something is refused by name.
func TestRefuse(t *testing.T) {
	cases := []struct {
		name, code, path string
		exit             int
		start            func(t *testing.T, dir string)
		want             func(d *Desired)
	}{
		{
			name: "directory in place of a file", code: CodeType, path: "etc/rsyncd.conf", exit: 1,
			start: func(t *testing.T, dir string) { must(t, os.MkdirAll(dir+"/etc/rsyncd.conf", 0o755)) },
		},
		{
			name: "file in place of a directory", code: CodeType, path: "etc", exit: 1,
			start: func(t *testing.T, dir string) { write(t, dir+"/etc", "", 0o644) },
		},
		{
			name: "file in place of a parent", code: CodeType, path: "www", exit: 1,
			start: func(t *testing.T, dir string) { write(t, dir+"/www", "", 0o644) },
		},
		{
			name: "link in place of a managed directory", code: CodeSymlink, path: "etc", exit: 1,
			start: func(t *testing.T, dir string) { must(t, os.Symlink("/tmp", dir+"/etc")) },
		},
		{
			name: "link inside of a managed directory", code: CodeSymlink, path: "etc/sub", exit: 1,
			start: func(t *testing.T, dir string) {
				must(t, os.Mkdir(dir+"/etc", 0o755))
				must(t, os.Symlink("/tmp", dir+"/etc/sub"))
			},
			want: func(d *Desired) {
				d.Files = append(d.Files, File{Path: filepath.Dir(d.StateDir) + "/etc/sub/file"})
			},
		},
		{
			name: "dangling link as module", code: CodeType, path: "www/www", exit: 1,
			start: func(t *testing.T, dir string) {
				must(t, os.Mkdir(dir+"/www", 0o755))
				must(t, os.Symlink("nowhere", dir+"/www/www"))
			},
		},
		{
			name: "validator", code: CodeInvalid, path: "etc/rsyncd.conf", exit: 2,
			want: func(d *Desired) {
				d.Files[1].Validate = func(b []byte) error { return errors.New("line 2:\nno such parameter") }
			},
		},
		{
			name: "validator with a problem", code: CodeInvalid, path: "its/path", exit: 2,
			want: func(d *Desired) {
				d.Files[1].Validate = func([]byte) error {
					return fmt.Errorf("check: %w", &Problem{Code: CodeInvalid, Path: filepath.Dir(d.StateDir) + "/its/path", Line: 2})
				}
			},
		},
		{name: "relative path", code: CodeInvalid, path: "x", exit: 2, want: func(d *Desired) { d.Dirs[1].Path = "x" }},
		{name: "path with dots", code: CodeInvalid, path: "/a/../b", exit: 2, want: func(d *Desired) { d.Dirs[1].Path = "/a/../b" }},
		{name: "path twice", code: CodeInvalid, path: "etc", exit: 2, want: func(d *Desired) { d.Dirs[1].Path = d.Dirs[0].Path }},
		{name: "special mode", code: CodeInvalid, path: "etc/receiver.yaml", exit: 2, want: func(d *Desired) { d.Files[0].Mode = 0o4755 }},
		{
			name: "below a file", code: CodeInvalid, path: "etc/receiver.yaml/x", exit: 2,
			want: func(d *Desired) { d.Dirs[1].Path = d.Files[0].Path + "/x" },
		},
		{name: "no state directory", code: CodeInvalid, path: "", exit: 2, want: func(d *Desired) { d.StateDir = "" }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			want := slave(dir)
			if c.start != nil {
				c.start(t, dir)
			}
			if c.want != nil {
				c.want(&want)
			}
			before := manifest(t, dir)
			r := Converge(context.Background(), newMachine(), want, none())
			equal(t, "failed", r.Failed, true)
			equal(t, "code", r.Error.Code, c.code)
			equal(t, "path", strings.TrimPrefix(r.Error.Path, dir+"/"), c.path)
			equal(t, "exit code", r.ExitCode(false), c.exit)
			equal(t, "lines", strings.Count(r.Error.Message, "\n"), 0)
			equal(t, "manifest", manifest(t, dir), before)
		})
	}
}

// What the state directory stands on is set right before the lock is made, and
// reported in the order a check foresees.
func TestStateBelowAManagedDirectory(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	want := Desired{StateDir: dir + "/own/state", Dirs: []Dir{{Path: dir + "/own", Mode: 0o700}}}
	must(t, os.Mkdir(dir+"/own", 0o755))
	check := none()
	check.Check = true
	predicted := mustConverge(t, sys, want, check)
	r := mustConverge(t, sys, want, none())
	equal(t, "changes", brief(dir, r.Changes), []string{"update directory own mode", "create directory own/state mode"})
	equal(t, "predicted", predicted, asCheck(r))
	unchanged(t, dir, sys, want, none())
}

func TestUnknownServiceManagerIsInvalid(t *testing.T) {
	r := Converge(context.Background(), newMachine(), slave(t.TempDir()), Options{Service: "upstart"})
	equal(t, "exit code", r.ExitCode(false), 2)
}

// An administrator may put a module on another disk by a link.
func TestLinkedModuleIsAccepted(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	must(t, os.MkdirAll(dir+"/data", 0o755))
	must(t, os.Mkdir(dir+"/www", 0o755))
	must(t, os.Symlink("../data", dir+"/www/www"))
	mustConverge(t, sys, slave(dir), none())
	unchanged(t, dir, sys, slave(dir), none())
	equal(t, "type", modeOf(t, dir+"/www/www").Type(), fs.ModeSymlink)
}

func TestLockHeldByAnother(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	mustConverge(t, sys, slave(dir), none())
	lock, err := sys.Lock(dir+"/state/init.lock", false)
	must(t, err)
	for _, check := range []bool{true, false} {
		r := Converge(context.Background(), sys, slave(dir), Options{Service: "none", Check: check})
		equal(t, "code", r.Error.Code, CodeLocked)
		equal(t, "exit code", r.ExitCode(false), 1)
	}
	must(t, lock.Close())
	unchanged(t, dir, sys, slave(dir), none())
}

// Two first runs at once: one wins, the other says why, and both are done
// after another call.
func TestFirstRunsAtOnce(t *testing.T) {
	dir := t.TempDir()
	var second Report
	first := Faulty(newMachine(), func(op, path string) error {
		if op == OpCreate && strings.Contains(path, "rsyncd.conf") {
			second = Converge(context.Background(), newMachine(), slave(dir), none())
		}
		return nil
	})
	mustConverge(t, first, slave(dir), none())
	equal(t, "second", second.Error.Code, CodeLocked)
	unchanged(t, dir, newMachine(), slave(dir), none())
}

// Another run that comes and goes before the first lock is seen.
func TestRunBetweenPlanAndFirstLock(t *testing.T) {
	dir := t.TempDir()
	other := slave(dir)
	other.Files[1].Content = []byte("other\n")
	late := Faulty(newMachine(), func(op, path string) error {
		if op == OpCreateLock {
			mustConverge(t, newMachine(), other, none())
		}
		return nil
	})
	r := mustConverge(t, late, slave(dir), none())
	equal(t, "changes", brief(dir, r.Changes), []string{"create directory state mode", "update file etc/rsyncd.conf content"})
	unchanged(t, dir, newMachine(), slave(dir), none())
}

func TestEndedContextWritesNothing(t *testing.T) {
	dir := t.TempDir()
	before := manifest(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := Converge(ctx, newMachine(), slave(dir), none())
	equal(t, "code", r.Error.Code, CodeInterrupted)
	equal(t, "manifest", manifest(t, dir), before)
}

// notRoot is another's disk under an id that may not give files away.
type notRoot struct{ machine }

func (notRoot) Self() (uid, gid int) { return 1000, 1000 }

func (s notRoot) Create(name string) (Temp, error) {
	t, err := s.machine.Create(name)
	return notRootTemp{t}, err
}

func (s notRoot) SetAttr(name string, a Attr) error {
	if a.UID != -1 || a.GID != -1 {
		return fs.ErrPermission
	}
	return s.machine.SetAttr(name, a)
}

type notRootTemp struct{ Temp }

func (s notRootTemp) SetAttr(a Attr) error {
	if a.UID != -1 || a.GID != -1 {
		return fs.ErrPermission
	}
	return s.Temp.SetAttr(a)
}

func TestOwnersAreRootsBusiness(t *testing.T) {
	dir, sys := t.TempDir(), notRoot{newMachine()}
	want := slave(dir)
	want.Files[1].Owner = Owner{"no-such-user", "no-such-group"}
	for _, c := range mustConverge(t, sys, want, none()).Changes {
		if strings.Contains(strings.Join(c.What, " "), WhatOwner) {
			t.Fatalf("owner set without the right to: %+v", c)
		}
	}
	unchanged(t, dir, sys, want, none())

	must(t, os.Chmod(dir+"/etc", 0o700))
	must(t, os.Chmod(dir+"/etc/rsyncd.secrets", 0o640))
	write(t, dir+"/etc/rsyncd.conf", "by hand\n", 0o644)
	force := none()
	force.Force = true
	mustConverge(t, sys, want, force)
	unchanged(t, dir, sys, want, none())
}

func TestOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		TestOwnersAreRootsBusiness(t)
		return
	}
	dir, sys := t.TempDir(), newMachine()
	u, err := user.LookupId("1")
	must(t, err)
	want := slave(dir)
	want.Files[1].Owner = Owner{User: u.Username, Group: "1"}
	want.Dirs[1].Owner = Owner{User: "1"}
	want.Dirs[0].Owner = Owner{Group: "1"}
	mustConverge(t, sys, want, none())
	for path, ids := range map[string][2]uint32{"/etc/rsyncd.conf": {1, 1}, "/www/www": {1, 0}, "/etc": {0, 1}, "/www": {0, 0}} {
		e := manifest(t, dir)[dir+path]
		equal(t, "owner of "+path, [2]uint32{e.UID, e.GID}, ids)
	}
	unchanged(t, dir, sys, want, none())

	for _, path := range []string{"/etc/rsyncd.conf", "/www/www", "/etc"} {
		must(t, os.Chown(dir+path, 2, 2))
	}
	r := mustConverge(t, sys, want, none())
	equal(t, "changes", brief(dir, r.Changes), []string{"update directory etc owner", "update file etc/rsyncd.conf owner"})
	equal(t, "diff", r.Diff[1].Before, any(map[string]any{"path": dir + "/etc/rsyncd.conf", "owner": 2, "group": 2}))
	unchanged(t, dir, sys, want, none())

	want.Files[1].Content, want.Files[1].Owner = []byte("new\n"), Owner{}
	must(t, os.Chown(dir+"/etc/rsyncd.conf", 3, 3))
	mustConverge(t, sys, want, none())
	equal(t, "an owner not asked for is kept", manifest(t, dir)[dir+"/etc/rsyncd.conf"].UID, uint32(3))

	want.Files[1].Owner = Owner{User: "no-such-user"}
	bad := Converge(context.Background(), sys, want, none())
	equal(t, "exit code", bad.ExitCode(false), 2)
	equal(t, "path", bad.Error.Path, dir+"/etc/rsyncd.conf")
}

// Special bits, whichever way they are written, are set and compared.
func TestSpecialModes(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	want := Desired{StateDir: dir + "/state", Dirs: []Dir{{Path: dir + "/a", Mode: 0o2775}, {Path: dir + "/b", Mode: fs.ModeSticky | 0o777}}}
	mustConverge(t, sys, want, none())
	equal(t, "a", modeOf(t, dir+"/a"), fs.ModeDir|fs.ModeSetgid|0o775)
	equal(t, "b", modeOf(t, dir+"/b"), fs.ModeDir|fs.ModeSticky|0o777)
	unchanged(t, dir, sys, want, none())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
