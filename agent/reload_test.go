package agent_test

import (
	"os"
	"path/filepath"
	"testing"

	"syncagent/agent/status"
	"syncagent/rsyncd/rsyncdtest"
)

// reload has the running master follow other settings of the module.
func (l *lab) reload(settings string) {
	l.t.Helper()
	l.yaml = settings
	l.must(l.master.Reload(l.t.Context(), l.config()))
}

func TestReloadTouchesOnlyWhatChanged(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	const settings = "    first_sync: merge\n    sweep: {at_start: false}\n"
	l := newLab(t, 2, settings+"    filter: [\"- *.tmp\"]\n")
	l.write("page", "1\n")
	l.write("x.tmp", "1\n")
	l.start()
	has := func(slave int, name string) bool {
		_, err := os.Stat(filepath.Join(l.slaves[slave].Path("data"), name))
		return err == nil
	}
	settled := func(m status.Module) bool {
		for _, t := range m.Targets {
			if t.Behind() {
				return false
			}
		}
		return true
	}
	l.until("all is equal", settled)

	before := l.status().Targets[0].Connections
	l.reload(l.yaml)
	if got := l.status().Targets[0]; got.Connections < before || got.Behind() {
		t.Errorf("a reload of the same configuration touched %+v", got)
	}

	both := l.slaves
	l.slaves = both[:1]
	l.reload(l.yaml)
	if n := len(l.status().Targets); n != 1 {
		t.Fatalf("%d targets after one was removed", n)
	}
	l.must(os.WriteFile(filepath.Join(both[1].Path("data"), "theirs"), []byte("x"), 0o644))
	l.write("page", "2\n")
	l.slaves = both
	l.reload(l.yaml)
	l.until("the target that came back is swept", func(m status.Module) bool { return len(m.Targets) == 2 && m.Targets[1].HeldDeletes == 1 })
	if !has(1, "theirs") {
		t.Error("a target that was removed and added again was trusted")
	}
	l.must(os.Remove(filepath.Join(both[1].Path("data"), "theirs")))

	l.reload(settings)
	l.until("what was excluded is sent", func(status.Module) bool { return has(0, "x.tmp") && has(1, "x.tmp") })
}
