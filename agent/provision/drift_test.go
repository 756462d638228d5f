package provision

import (
	"context"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// A derived file that is not ours stops the run before anything is written.
func TestDrift(t *testing.T) {
	conf := "/etc/rsyncd.conf"
	cases := []struct {
		name  string
		start func(t *testing.T, dir string, sys machine)
	}{
		{"edited since", func(t *testing.T, dir string, sys machine) {
			mustConverge(t, sys, slave(dir), none())
			write(t, dir+conf, "by hand\n", 0o640)
		}},
		{"there before us", func(t *testing.T, dir string, sys machine) { write(t, dir+conf, "by hand\n", 0o640) }},
		{"edited to an even older version", func(t *testing.T, dir string, sys machine) {
			first := slave(dir)
			first.Files[1].Content = []byte("by hand\n")
			mustConverge(t, sys, first, none())
			mustConverge(t, sys, slave(dir), none())
			write(t, dir+conf, "by hand\n", 0o640)
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir, sys := t.TempDir(), newMachine()
			c.start(t, dir, sys)
			must(t, os.RemoveAll(dir+"/www"))
			before := manifest(t, dir)
			for _, check := range []bool{true, false} {
				opt := none()
				opt.Check = check
				r := Converge(context.Background(), sys, slave(dir), opt)
				equal(t, "failed", r.Failed, true)
				equal(t, "code", r.Error.Code, CodeDrift)
				equal(t, "path", r.Error.Path, dir+conf)
				equal(t, "exit code", r.ExitCode(true), 1)
				equal(t, "changes", r.Changes, []Change(nil))
				equal(t, "diff", r.Diff[0].Before, any("by hand\n"))
				equal(t, "manifest", manifest(t, dir), before)
			}
			force := none()
			force.Force, force.Check = true, true
			predicted := mustConverge(t, sys, slave(dir), force)
			force.Check = false
			r := mustConverge(t, sys, slave(dir), force)
			equal(t, "predicted", predicted.Changes, r.Changes)
			equal(t, "backup", read(t, dir+conf+".bak"), "by hand\n")
			equal(t, "mode of backup", modeOf(t, dir+conf+".bak"), fs.FileMode(0o640))
			equal(t, "content", read(t, dir+conf), string(slave(dir).Files[1].Content))
			unchanged(t, dir, sys, slave(dir), none())
		})
	}
}

func TestForceKeepsOneBackup(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	opt := none()
	opt.Force = true
	for _, text := range []string{"first\n", "second\n"} {
		write(t, dir+"/etc/rsyncd.secrets", text, 0o644)
		mustConverge(t, sys, slave(dir), opt)
		equal(t, "backup", read(t, dir+"/etc/rsyncd.secrets.bak"), text)
		equal(t, "mode of backup", modeOf(t, dir+"/etc/rsyncd.secrets.bak"), fs.FileMode(0o600))
	}
	equal(t, "entries", len(manifest(t, dir+"/etc")), 7)
}

// A new version of the wanted content replaces ours without a question.
func TestUpdateIsNotDrift(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	mustConverge(t, sys, slave(dir), systemd())
	sys.mgr.take()
	want := slave(dir)
	want.Files[1].Content = []byte("port = 8730\n")
	r := mustConverge(t, sys, want, systemd())
	equal(t, "changes", brief(dir, r.Changes), []string{"update file etc/rsyncd.conf content", "restart service receiver.service"})
	equal(t, "reasons", r.RestartReasons, []string{"port changed"})
	equal(t, "restart still required", r.RestartRequired, false)
	unchanged(t, dir, sys, want, systemd())
}

// What already is as wanted is adopted: its hash is recorded, nothing else.
func TestAdoptEqualFiles(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	mustConverge(t, sys, slave(dir), none())
	must(t, os.Remove(dir+"/state/init.json"))
	etc := manifest(t, dir+"/etc")
	equal(t, "changed", mustConverge(t, sys, slave(dir), none()).Changed, false)
	equal(t, "etc", manifest(t, dir+"/etc"), etc)
	want := slave(dir)
	want.Files[1].Content = []byte("port = 8730\n")
	mustConverge(t, sys, want, none())
}

func TestBrokenRecordCountsAsNone(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	mustConverge(t, sys, slave(dir), none())
	for _, broken := range []string{"", "{", `{"schema_version":2,"files":{},"owed":{}}`} {
		write(t, dir+"/state/init.json", broken, 0o600)
		r := mustConverge(t, sys, slave(dir), none())
		equal(t, "changed", r.Changed, false)
		equal(t, "warnings", len(r.Warnings), 1)
		unchanged(t, dir, sys, slave(dir), none())
	}
}

func TestAbsent(t *testing.T) {
	dir, sys := t.TempDir(), newMachine()
	mustConverge(t, sys, slave(dir), none())
	want := slave(dir)
	path := want.Files[3].Path
	want.Files = want.Files[:3]
	want.Absent = []Absent{{Path: path, Effect: Reload, Service: "receiver.service"}}

	write(t, path, "by hand\n", 0o644)
	r := Converge(context.Background(), sys, want, none())
	equal(t, "code", r.Error.Code, CodeDrift)
	write(t, path, "fs.inotify.max_user_watches=1\n", 0o644)
	r = mustConverge(t, sys, want, none())
	equal(t, "changes", brief(dir, r.Changes), []string{"remove file etc/60-syncagent.conf content"})
	equal(t, "reload required", r.ReloadRequired, true)
	unchanged(t, dir, sys, want, none())
	if strings.Contains(read(t, dir+"/state/init.json"), path) {
		t.Fatal("the record still knows the removed file")
	}
}
