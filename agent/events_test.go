package agent_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"syncagent/agent/status"
	"syncagent/rsyncd/rsyncdtest"
)

// TestEvents: each of sersync's switches lets its own changes through, and no
// others. A later change that passes shows that the one before did not.
func TestEvents(t *testing.T) {
	for _, c := range []struct {
		events   string
		pass     string // what arrives
		withheld []string
		only     string // backend that can tell it apart, "" for all
	}{
		{"[close_write]", "write", []string{"chmod", "delete", "moveout"}, ""},
		{"[close_write]", "write", []string{"symlink", "movein"}, "fanotify"},
		{"[attrib]", "chmod", []string{"write", "delete", "moveout", "symlink", "movein"}, ""},
		{"[delete]", "delete", []string{"write", "chmod", "moveout"}, ""},
		{"[move_from]", "moveout", []string{"write", "chmod", "delete"}, ""},
		{"[move_to]", "movein", []string{"chmod", "delete", "moveout"}, ""},
		{"[create_file]", "symlink", []string{"chmod", "delete", "moveout"}, ""},
		{"[modify]", "write", []string{"chmod", "delete", "moveout"}, ""},
		{"[create_folder]", "mkdir", []string{"chmod", "delete", "moveout"}, ""},
		{"[]", "chmod", nil, ""},
	} {
		for _, watcher := range []string{"fsnotify", "fanotify"} {
			if c.only == "" || c.only == watcher {
				t.Run(c.events+c.only+"/"+watcher, func(t *testing.T) { eventsOf(t, watcher, c.events, c.pass, c.withheld) })
			}
		}
	}
}

func eventsOf(t *testing.T, watcher, events, pass string, withheld []string) {
	l := newLab(t, 1, "    delete_guard: off\n    first_sync: mirror\n    watcher: "+watcher+"\n    events: "+events+"\n")
	edits := map[string]func(name string) error{
		"write":   func(name string) error { return os.WriteFile(name, []byte("longer than before\n"), 0o644) },
		"chmod":   func(name string) error { return os.Chmod(name, 0o600) },
		"delete":  os.Remove,
		"moveout": func(name string) error { return os.Rename(name, filepath.Join(l.dir, filepath.Base(name))) },
		"movein": func(name string) error {
			return errors.Join(os.WriteFile(filepath.Join(l.dir, "new"), []byte("moved here\n"), 0o644), os.Rename(filepath.Join(l.dir, "new"), name))
		},
		"symlink": func(name string) error { return errors.Join(os.Remove(name), os.Symlink("target", name)) },
		"mkdir":   func(name string) error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o755)) },
	}
	for _, edit := range append(withheld, pass) {
		l.write(edit, "text\n")
	}
	l.start()
	l.inSync()
	slave := l.slaves[0].Path("data")
	before := map[string]string{}
	for _, edit := range append(withheld, pass) {
		before[edit] = look(filepath.Join(slave, edit))
	}
	for _, edit := range append(withheld, pass) {
		l.must(edits[edit](filepath.Join(l.root, edit)))
	}
	rsyncdtest.Eventually(t, 30*time.Second, func() error {
		if is, was := look(filepath.Join(slave, pass)), before[pass]; is == was {
			return fmt.Errorf("%s did not arrive: %s", pass, is)
		}
		return nil
	})
	for _, edit := range withheld {
		if is := look(filepath.Join(slave, edit)); is != before[edit] {
			t.Errorf("%s arrived: %s", edit, is)
		}
	}
	l.must(l.master.Sync(t.Context(), syncAll(), nothing))
	l.inSync() // a sweep sees everything
}

// look is what stands at a path in a line.
func look(name string) string {
	info, err := os.Lstat(name)
	if err != nil {
		return "nothing"
	}
	return fmt.Sprint(info.Mode(), info.Size())
}

func syncAll() status.SyncRequest { return status.SyncRequest{} }

func nothing(status.SyncUpdate) {}

// TestEventsThatAreNotSelected: what marks nothing is not in sync, and a wait finds it.
func TestEventsThatAreNotSelected(t *testing.T) {
	l := newLab(t, 1, "    first_sync: mirror\n    events: [close_write]\n")
	l.write("f", "text\n")
	l.start()
	l.inSync()
	edited := time.Now()
	l.must(os.Chmod(filepath.Join(l.root, "f"), 0o600))
	if s := l.status().Targets[0]; s.InSyncAsOf.After(edited) || s.Lag == 0 {
		t.Errorf("in sync as of %s, %v s of lag, but nobody notices a chmod", s.InSyncAsOf, s.Lag)
	}
	l.must(l.master.Wait(t.Context(), status.Scope{}, func(status.WaitUpdate) {}))
	if err := rsyncdtest.Equal(l.root, l.slaves[0].Path("data")); err != nil {
		t.Error(err)
	}
}
