package agent

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"syncagent/agent/config"
)

func TestPrune(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	trash := filepath.Join(dir, "a", ".trash")
	for _, name := range []string{"2026-01-01T10Z/d", "2026-01-02T10Z", "2026-01-02T11Z", "2026-01-01", "notes"} {
		if err := os.MkdirAll(filepath.Join(trash, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(trash, "2026-01-01T11Z")); err != nil {
		t.Fatal(err)
	}
	m := config.ReceiverModule{Name: "www", Path: dir, BackupDir: "a/.trash", BackupKeep: config.Day}
	now := time.Date(2026, 1, 3, 11, 30, 0, 0, time.UTC)
	n, err := pruneModule(m, now)
	if err != nil || n != 2 {
		t.Errorf("%d removed, %v", n, err)
	}
	entries, _ := os.ReadDir(trash)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"2026-01-01", "2026-01-01T11Z", "2026-01-02T11Z", "notes"}; !slices.Equal(names, want) {
		t.Errorf("left %q, want %q", names, want)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}

	// A folder of backups that is a link is somebody else's.
	m.BackupDir = "link"
	if err := os.Symlink(trash, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, m := range []config.ReceiverModule{m, {Path: dir, BackupDir: "a/.trash"}, {Path: dir, BackupKeep: config.Day}, {Path: dir, BackupDir: "none", BackupKeep: config.Day}} {
		if n, err := pruneModule(m, now.AddDate(1, 0, 0)); n != 0 || err != nil {
			t.Errorf("%+v: %d removed, %v", m, n, err)
		}
	}
}
