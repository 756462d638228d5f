package agent_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"syncagent/agent"
	"syncagent/agent/status"
	"syncagent/rsyncd/rsyncdtest"
)

// alone syncs without a running agent and returns the last update.
func (l *lab) alone(dry bool) status.SyncUpdate {
	l.t.Helper()
	var last status.SyncUpdate
	m := agent.NewMaster(agent.MasterConfig{
		Config: l.config(), Version: "test", Rsync: rsyncdtest.Rsync(l.t), Log: slog.New(slog.NewTextHandler(l.log, nil)),
	})
	l.must(m.SyncAlone(l.t.Context(), status.SyncRequest{DryRun: dry}, func(u status.SyncUpdate) {
		if u.Done {
			last = u
		}
	}))
	return last
}

// Also what the journal says is pending must not be sent by a dry run.
func TestDrySyncAloneSendsNothing(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	l := newLab(t, 1, "")
	l.write("page", "1\n")
	l.start()
	l.inSync()
	l.slaves[0].Stop()
	l.write("pending", "2\n")
	l.until("it is pending", func(m status.Module) bool { return m.Targets[0].Pending > 0 })
	l.stop()
	l.slaves[0].Restart()
	if u := l.alone(true); u.Equal || len(u.Differ) != 1 || u.Error != "" {
		t.Errorf("dry run ended with %+v", u)
	}
	if _, err := os.Stat(filepath.Join(l.slaves[0].Path("data"), "pending")); err == nil {
		t.Error("a dry run sent a file")
	}
	if u := l.alone(false); !u.Equal || u.Error != "" {
		t.Errorf("sync ended with %+v", u)
	}
	rsyncdtest.SameTree(t, l.root, l.slaves[0].Path("data"))
}
