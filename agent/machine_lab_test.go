package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"syncagent/agent/status"
	"syncagent/rsyncd/rsyncdtest"
)

// A machine that was cloned with its state starts, sends nothing and says why, until
// somebody approves that it took the other's place.
func TestClonedStateIsBlocked(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	l := newLab(t, 2, "    root_change: accept\n")
	l.machine = filepath.Join(l.dir, "machine-id")
	is := func(id string) {
		l.stop()
		l.must(os.WriteFile(l.machine, []byte(id+"\n"), 0o644))
		l.start()
	}
	l.write("page", "1\n")
	is("abc")
	l.inSync()
	is("abc")
	l.inSync()
	is("def")
	l.write("page", "of the clone\n")
	m := l.status()
	for _, s := range m.Targets {
		if s.State != status.Blocked || s.Class != "source_gone" || !strings.Contains(s.LastError, "another machine") {
			t.Errorf("%+v", s)
		}
	}
	if u := l.aloneBeside(); u.Equal || !strings.Contains(u.Error, "another machine") {
		t.Errorf("sync: %+v", u)
	}
	for _, s := range l.slaves {
		if data, err := os.ReadFile(filepath.Join(s.Path("data"), "page")); err != nil || string(data) != "1\n" {
			t.Errorf("the clone sent %q, %v", data, err)
		}
	}
	held := l.master.Held(status.Scope{})
	if len(held) != 1 || !strings.Contains(held[0].Reason, "agent approve --module data") {
		t.Fatalf("held: %+v", held)
	}
	l.must(l.master.Approve(status.ApproveRequest{Digests: []string{held[0].Digest}}))
	l.inSync()
	is("def")
	l.inSync()
	if held := l.master.Held(status.Scope{}); len(held) > 0 {
		t.Errorf("approved and started again: %+v", held)
	}
	is("abc")
	if s := l.status().Targets[0]; s.State != status.Blocked {
		t.Errorf("the first machine, after the other took its place: %+v", s)
	}
}

// aloneBeside is a sync through the running agent; it returns the last update.
func (l *lab) aloneBeside() (last status.SyncUpdate) {
	l.t.Helper()
	l.must(l.master.Sync(l.t.Context(), status.SyncRequest{}, func(u status.SyncUpdate) {
		if u.Done {
			last = u
		}
	}))
	return last
}
