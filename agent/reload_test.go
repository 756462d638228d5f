package agent_test

import (
	"fmt"
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

// A module that has to be started anew is not watched for a moment: what changes then
// is found, also by an agent that does not sweep at its start.
func TestReloadLosesNoChange(t *testing.T) {
	l := newLab(t, 1, "    sweep: {at_start: false}\n")
	l.start()
	l.inSync()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			l.write(fmt.Sprintf("d/%d", n%500), fmt.Sprint(n))
		}
	}()
	for i := range 10 {
		l.reload(fmt.Sprintf("    sweep: {at_start: false}\n    settle: {max: %dms}\n", 900+i))
	}
	close(stop)
	<-done
	l.inSync()
}

// What changed before the agent was told to stop is known to the next one, also what the
// watcher has still to take up and what somebody still writes.
func TestStopLosesNoChange(t *testing.T) {
	for _, watcher := range []string{"fanotify", "fsnotify"} {
		t.Run(watcher, func(t *testing.T) {
			l := newLab(t, 1, "    sweep: {at_start: false}\n    watcher: "+watcher+"\n")
			ready := filepath.Join(l.dir, "ready")
			for n := range 3000 {
				l.must(os.MkdirAll(filepath.Join(ready, fmt.Sprintf("%d/%d", n%50, n)), 0o755))
			}
			l.start()
			l.inSync()
			f, err := os.Create(filepath.Join(l.root, "growing"))
			l.must(err)
			defer f.Close()
			_, err = f.WriteString("half a line")
			l.must(err)
			l.must(os.Rename(ready, filepath.Join(l.root, "moved in")))
			l.stop()
			l.start()
			l.inSync()
		})
	}
}
