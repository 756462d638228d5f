package provision

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestServices(t *testing.T) {
	running := UnitState{Active: true, Enabled: true}
	conf := func(d *Desired) { d.Files[1].Content = []byte("new\n") }
	secret := func(d *Desired) { d.Files[2].Content = []byte("new:pw\n") }
	unit := func(d *Desired) { d.Units[0].File.Content = []byte("new\n") }
	cases := []struct {
		name    string
		state   UnitState
		change  []func(*Desired)
		calls   []string
		reasons []string
	}{
		{"nothing to do", running, nil, nil, nil},
		{"stopped by hand", UnitState{Enabled: true}, nil, []string{"start receiver.service"}, nil},
		{"disabled by hand", UnitState{Active: true}, nil, []string{"enable receiver.service"}, nil},
		{"masked by hand", UnitState{Active: true, Masked: true}, nil, []string{"unmask receiver.service", "enable receiver.service"}, nil},
		{"reload", running, []func(*Desired){secret}, []string{"reload receiver.service"}, nil},
		{"restart swallows reload", running, []func(*Desired){secret, conf}, []string{"restart receiver.service"}, []string{"port changed"}},
		{"start swallows restart", UnitState{Enabled: true}, []func(*Desired){conf}, []string{"start receiver.service"}, nil},
		{"unit changed", running, []func(*Desired){unit}, []string{"daemon-reload", "restart receiver.service"}, []string{"etc/receiver.service changed"}},
		{
			"unit changed but not to be started",
			UnitState{Enabled: true},
			[]func(*Desired){unit, func(d *Desired) { d.Units[0].Start = false }},
			[]string{"daemon-reload"},
			nil,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir, sys := t.TempDir(), newMachine()
			want := slave(dir)
			mustConverge(t, sys, want, systemd())
			sys.mgr.take()
			sys.mgr.state["receiver.service"] = c.state
			for _, change := range c.change {
				change(&want)
			}
			check := systemd()
			check.Check = true
			predicted := mustConverge(t, sys, want, check)
			r := mustConverge(t, sys, want, systemd())
			equal(t, "predicted", predicted, asCheck(r))
			equal(t, "calls", sys.mgr.take(), c.calls)
			var reasons []string
			for _, s := range r.RestartReasons {
				reasons = append(reasons, strings.TrimPrefix(s, dir+"/"))
			}
			equal(t, "reasons", reasons, c.reasons)
			equal(t, "still required", r.RestartRequired || r.ReloadRequired, false)
			unchanged(t, dir, sys, want, systemd())
		})
	}
}

// asCheck is what the check run before r has to report.
func asCheck(r Report) Report {
	r.Check = true
	r.finish()
	return r
}

// Without a manager the report says what the caller has to do, once.
func TestNoServiceManager(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	r := mustConverge(t, sys, slave(dir), none())
	equal(t, "restart", r.RestartRequired, true)
	equal(t, "reasons", r.RestartReasons, []string{"port changed", dir + "/etc/receiver.service changed"})
	want := slave(dir)
	want.Files[2].Content = []byte("new:pw\n")
	r = mustConverge(t, sys, want, none())
	equal(t, "restart", r.RestartRequired, false)
	equal(t, "reload", r.ReloadRequired, true)
	equal(t, "calls", sys.mgr.take(), []string(nil))
	unchanged(t, dir, sys, want, none())
}

// A service that could not be restarted gets its restart from the next run,
// which finds all files in order.
func TestFailedRestartIsOwed(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	want := slave(dir)
	mustConverge(t, sys, want, systemd())
	sys.mgr.take()
	want.Files[1].Content = []byte("new\n")
	sys.mgr.fail = "restart receiver.service"
	r := Converge(context.Background(), sys, want, systemd())
	equal(t, "code", r.Error.Code, CodeService)
	equal(t, "path", r.Error.Path, "receiver.service")
	equal(t, "changes", brief(dir, r.Changes), []string{"update file etc/rsyncd.conf content"})

	sys.mgr.fail = ""
	sys.mgr.take()
	r = mustConverge(t, sys, want, systemd())
	equal(t, "changes", brief(dir, r.Changes), []string{"restart service receiver.service"})
	equal(t, "calls", sys.mgr.take(), []string{"daemon-reload", "restart receiver.service"})
	unchanged(t, dir, sys, want, systemd())
}

// A service may bring its own files in order while init waits for its start,
// and does not settle what its manager owes to it.
func TestServiceConvergesWhileItStarts(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	own := slave(dir)
	own.Units = nil
	var inner []Report
	sys.mgr.hook = func(call string) {
		if strings.HasPrefix(call, "daemon-reload") {
			return
		}
		inner = append(inner, Converge(context.Background(), newMachine(), own, none()))
	}
	mustConverge(t, sys, slave(dir), systemd())
	equal(t, "calls", sys.mgr.take(), []string{"daemon-reload", "enable receiver.service", "start receiver.service"})
	for _, r := range inner {
		equal(t, "inner failed", r.Error, (*Problem)(nil))
		equal(t, "inner changed", r.Changed, false)
		equal(t, "inner restart", r.RestartRequired, false)
	}
	unchanged(t, dir, sys, slave(dir), systemd())

	want := slave(dir)
	want.Units[0].File.Content = []byte("new\n")
	sys.mgr.hook, sys.mgr.fail = nil, "restart receiver.service"
	Converge(context.Background(), sys, want, systemd())
	mustConverge(t, sys, own, none())
	sys.mgr.take()
	sys.mgr.fail = ""
	mustConverge(t, sys, want, systemd())
	equal(t, "calls", sys.mgr.take(), []string{"daemon-reload", "restart receiver.service"})
	unchanged(t, dir, sys, want, systemd())
}

// fakeSystemctl puts a program of that name first on PATH. It appends its
// arguments to the returned file.
func fakeSystemctl(t *testing.T, body string) (log string) {
	t.Helper()
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	script := "#!/bin/sh\necho \"$@\" >>" + log + "\n" + body + "\n"
	must(t, os.WriteFile(filepath.Join(dir, "systemctl"), []byte(script), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return log
}

func TestSystemctlArguments(t *testing.T) {
	log := fakeSystemctl(t, `case $2 in show) echo ActiveState=inactive; echo UnitFileState=disabled;; esac`)
	dir := t.TempDir()
	mustConverge(t, NewSystem(), slave(dir), systemd())
	equal(t, "arguments", strings.Split(strings.TrimSpace(read(t, log)), "\n"), []string{
		"--no-ask-password show --property=ActiveState,UnitFileState receiver.service",
		"--no-ask-password show --property=ActiveState,UnitFileState receiver.service", // planned again under the first lock
		"--no-ask-password daemon-reload",
		"--no-ask-password enable receiver.service",
		"--no-ask-password start receiver.service",
	})
}

func TestSystemctlFailure(t *testing.T) {
	fakeSystemctl(t, `echo "System has not been booted" >&2; echo "Failed to connect to bus" >&2; exit 1`)
	r := Converge(context.Background(), NewSystem(), slave(t.TempDir()), systemd())
	equal(t, "code", r.Error.Code, CodeService)
	equal(t, "message", r.Error.Message, "systemctl show --property=ActiveState,UnitFileState receiver.service: "+
		"exit status 1: System has not been booted; Failed to connect to bus")
	equal(t, "changes", r.Changes, []Change(nil))
}

// A systemctl that hangs ends with its whole group when the context does.
func TestSystemctlIsStopped(t *testing.T) {
	log := fakeSystemctl(t, `sleep 1000 & echo $! >>"${0%/*}/pid"; wait`)
	pid := filepath.Join(filepath.Dir(log), "pid")
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for {
			if b, _ := os.ReadFile(pid); strings.HasSuffix(string(b), "\n") {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	r := Converge(ctx, NewSystem(), slave(t.TempDir()), systemd())
	equal(t, "failed", r.Failed, true)
	equal(t, "code", r.Error.Code, CodeInterrupted)
	for alive(strings.TrimSpace(read(t, pid))) {
		time.Sleep(time.Millisecond)
	}
}

// alive tells whether a process runs; a zombie waiting for its reaper does not.
func alive(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(b), ") Z ")
}

// Recorded from systemctl 252 and 257.
func TestParseShow(t *testing.T) {
	cases := map[string]UnitState{
		"ActiveState=active\nUnitFileState=enabled\n":            {Active: true, Enabled: true},
		"ActiveState=inactive\nUnitFileState=\n":                 {},
		"ActiveState=failed\nUnitFileState=disabled\n":           {},
		"ActiveState=activating\nUnitFileState=static\n":         {Active: true, Enabled: true},
		"ActiveState=inactive\nUnitFileState=masked\n":           {Masked: true},
		"ActiveState=active\nUnitFileState=masked-runtime\n":     {Active: true, Masked: true},
		"UnitFileState=enabled-runtime\nActiveState=reloading\n": {Active: true},
	}
	for out, want := range cases {
		equal(t, out, parseShow(out), want)
	}
}

func TestStaging(t *testing.T) {
	root, sys := t.TempDir(), newMachine()
	write(t, root+"/etc/passwd", "root:x:0:0::/:/bin/sh\nimage:x:4242:4243::/:/bin/sh\n", 0o644)
	write(t, root+"/etc/group", "image:x:4243:\n", 0o644)
	must(t, os.MkdirAll(root+"/usr/lib/systemd/system", 0o755))
	must(t, os.Symlink("/usr/lib", root+"/lib")) // absolute: must not lead out
	outside := t.TempDir()
	must(t, os.Symlink(outside, root+"/srv")) // dangling inside of the image
	write(t, root+"/lib-marker", "", 0o644)

	want := staged()
	opt := Options{Root: root, Diff: true, Check: true}
	before := manifest(t, root)
	predicted := mustConverge(t, sys, want, opt)
	equal(t, "after the check", manifest(t, root), before)
	opt.Check = false
	r := mustConverge(t, sys, want, opt)
	equal(t, "predicted", predicted.Changes, r.Changes)
	equal(t, "changes", brief("", r.Changes), []string{
		"create directory var mode",
		"create directory var/lib mode",
		"create directory var/lib/syncagent mode",
		"create directory etc/systemd mode",
		"create directory etc/systemd/system mode",
		"create file etc/systemd/system/receiver.service content," + ownedWhat(),
		"create file lib/systemd/system/packaged.service content,mode",
		"create directory etc/systemd/system/multi-user.target.wants mode",
		"enable service receiver.service",
		"create directory etc/systemd/system/a.target.requires mode",
		"enable service packaged.service",
	})
	equal(t, "link", readlink(t, root+"/etc/systemd/system/multi-user.target.wants/receiver.service"), "/etc/systemd/system/receiver.service")
	equal(t, "link", readlink(t, root+"/etc/systemd/system/a.target.requires/packaged.service"), "/lib/systemd/system/packaged.service")
	read(t, root+"/usr/lib/systemd/system/packaged.service")
	if os.Geteuid() == 0 {
		equal(t, "uid", manifest(t, root)[root+"/etc/systemd/system/receiver.service"].UID, uint32(4242))
	}
	equal(t, "calls", sys.mgr.take(), []string(nil))
	equal(t, "required", r.RestartRequired, false)
	equal(t, "outside", len(manifest(t, outside)), 1)
	unchanged(t, root, sys, want, opt)
}

func ownedWhat() string {
	if os.Geteuid() == 0 {
		return "mode,owner"
	}
	return "mode"
}

func staged() Desired {
	return Desired{
		StateDir: "/var/lib/syncagent",
		Files:    []File{},
		Units: []Unit{
			{Name: "receiver.service", Enable: true, Start: true, File: &File{
				Path: "/etc/systemd/system/receiver.service", Owner: Owner{"image", "image"},
				Content: []byte("[Install]\nWantedBy = multi-user.target\n"),
			}},
			{Name: "packaged.service", Enable: true, File: &File{
				Path: "/lib/systemd/system/packaged.service", Content: []byte("[Install]\nRequiredBy=a.target\n"),
			}},
		},
	}
}

func TestStagingRefuses(t *testing.T) {
	root := t.TempDir()
	outside := t.TempDir()
	must(t, os.Symlink(outside, root+"/srv"))
	cases := map[string]struct {
		change func(*Desired)
		root   string
		code   string
	}{
		"link that leads nowhere in the image": {func(d *Desired) { d.Dirs = []Dir{{Path: "/srv/www"}} }, root, CodeType},
		"unknown user":                         {func(d *Desired) { d.Dirs = []Dir{{Path: "/x", Owner: Owner{User: "root"}}} }, root, CodeInvalid},
		"unit that is not there":               {func(d *Desired) { d.Units = []Unit{{Name: "x.service", Enable: true}} }, root, CodeInvalid},
		"no such directory":                    {func(*Desired) {}, root + "/none", CodeInvalid},
		"relative":                             {func(*Desired) {}, ".", CodeInvalid},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			want := Desired{StateDir: "/state"}
			c.change(&want)
			if os.Geteuid() != 0 && name == "unknown user" {
				return // owners are not looked up
			}
			before := manifest(t, root)
			r := Converge(context.Background(), newMachine(), want, Options{Root: c.root})
			if !r.Failed {
				t.Fatalf("accepted: %+v", r)
			}
			equal(t, "code", r.Error.Code, c.code)
			equal(t, "manifest", manifest(t, root), before)
			equal(t, "outside", len(manifest(t, outside)), 1)
		})
	}
}

func TestDetectService(t *testing.T) {
	equal(t, "staging", DetectService("/image"), "systemd")
	want := "none"
	if fi, err := os.Stat("/run/systemd/system"); err == nil && fi.IsDir() {
		want = "systemd"
	}
	equal(t, "live", DetectService(""), want)
}

func readlink(t *testing.T, path string) string {
	t.Helper()
	s, err := os.Readlink(path)
	must(t, err)
	return s
}
