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
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// machine is a real disk with a service manager that only remembers.
type machine struct {
	System
	mgr *fakeManager
}

func newMachine() machine {
	return machine{NewSystem(), &fakeManager{state: map[string]UnitState{}}}
}

func (m machine) UnitState(_ context.Context, unit string) (UnitState, error) {
	return m.mgr.state[unit], nil
}

func (m machine) Do(_ context.Context, verb, unit string) error { return m.mgr.do(verb, unit) }

type fakeManager struct {
	state map[string]UnitState
	calls []string
	fail  string // a call that fails
	hook  func(call string)
}

func (m *fakeManager) do(verb, unit string) error {
	call := strings.TrimSpace(verb + " " + unit)
	m.calls = append(m.calls, call)
	if m.hook != nil {
		m.hook(call)
	}
	if call == m.fail {
		return errors.New("job failed")
	}
	st := m.state[unit]
	switch verb {
	case "enable":
		st.Enabled = true
	case "unmask":
		st.Masked = false
	case "start", "restart":
		st.Active = true
	}
	if unit != "" {
		m.state[unit] = st
	}
	return nil
}

func (m *fakeManager) take() []string {
	calls := m.calls
	m.calls = nil
	return calls
}

// entry is all that a run must not touch.
type entry struct {
	Mode     fs.FileMode
	UID, GID uint32
	Inode    uint64
	MTime    int64
	Content  string
}

// manifest describes everything below dir.
func manifest(t fataler, dir string) map[string]entry {
	t.Helper()
	m := map[string]entry{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		st := fi.Sys().(*syscall.Stat_t)
		e := entry{Mode: fi.Mode(), UID: st.Uid, GID: st.Gid, Inode: st.Ino, MTime: fi.ModTime().UnixNano()}
		switch {
		case fi.Mode().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			e.Content = string(b)
		case fi.Mode().Type() == fs.ModeSymlink:
			if e.Content, err = os.Readlink(path); err != nil {
				return err
			}
		}
		m[path] = e
		return nil
	})
	if err != nil {
		t.Fatalf("manifest: %v", err)
	}
	return m
}

// contents is the manifest without what differs between two equal histories.
func contents(t fataler, dir string) map[string]entry {
	t.Helper()
	m := map[string]entry{}
	for path, e := range manifest(t, dir) {
		e.Inode, e.MTime = 0, 0
		m[strings.TrimPrefix(path, dir)] = e
	}
	return m
}

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func mustConverge(t fataler, sys System, want Desired, opt Options) Report {
	t.Helper()
	r := Converge(context.Background(), sys, want, opt)
	if r.Failed {
		t.Fatalf("converge failed: %+v", *r.Error)
	}
	return r
}

// unchanged fails unless a second run finds nothing to do and touches nothing.
func unchanged(t fataler, dir string, sys System, want Desired, opt Options) {
	t.Helper()
	before := manifest(t, dir)
	if r := mustConverge(t, sys, want, opt); r.Changed || len(r.Diff) > 0 || r.RestartRequired || r.ReloadRequired {
		t.Fatalf("second run is not idle: %+v", r)
	}
	if diff := cmp.Diff(before, manifest(t, dir)); diff != "" {
		t.Fatalf("second run touched something:\n%s", diff)
	}
}

// brief is a change in one line, its path relative to dir.
func brief(dir string, changes []Change) []string {
	var out []string
	for _, c := range changes {
		path := strings.TrimPrefix(c.Path, dir+"/")
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", c.Action, c.Kind, path, strings.Join(c.What, ","))))
	}
	return out
}

func write(t fataler, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatalf("%v", err)
	}
	_ = os.Remove(path)
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatalf("%v", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatalf("%v", err)
	}
}

func read(t fataler, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return string(b)
}

func modeOf(t fataler, path string) fs.FileMode {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return fi.Mode()
}

// slave is a small but complete wanted state below dir.
func slave(dir string) Desired {
	return Desired{
		Role: "slave", Version: "1.0.0",
		StateDir: dir + "/state",
		Dirs: []Dir{
			{Path: dir + "/etc", Mode: 0o755},
			{Path: dir + "/www/www", Mode: 0o755, OwnerOnCreate: true},
		},
		Files: []File{
			{Path: dir + "/etc/receiver.yaml", Content: []byte("port: 873\n"), User: true},
			{
				Path: dir + "/etc/rsyncd.conf", Content: []byte("port = 873\n[www]\npath = /www/www\n"), Mode: 0o644,
				Effect: Restart, Service: "receiver.service", Reason: "port changed",
			},
			{
				Path: dir + "/etc/rsyncd.secrets", Content: []byte("repl:" + secretWord + "\n"), Mode: 0o600, Secret: true,
				Effect: Reload, Service: "receiver.service",
			},
			{Path: dir + "/etc/60-syncagent.conf", Content: []byte("fs.inotify.max_user_watches=1\n"), Kind: KindSysctl},
		},
		Units: []Unit{{
			Name: "receiver.service", Enable: true, Start: true,
			File: &File{Path: dir + "/etc/receiver.service", Content: []byte("[Install]\nWantedBy=multi-user.target\n")},
		}},
	}
}

const secretWord = "canary-c0ffee"

func none() Options    { return Options{Service: "none", Diff: true} }
func systemd() Options { return Options{Service: "systemd", Diff: true} }

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
