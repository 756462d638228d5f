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

// A directory in another one's place has its own files on the slave, also where each
// has the size and time of the one that it replaces: releases are unpacked so.
func TestDirectoryInAnothersPlace(t *testing.T) {
	for name, do := range map[string]func(at func(string) string) error{
		"swapped": func(at func(string) string) error {
			return errors.Join(os.Rename(at("a"), at("x")), os.Rename(at("b"), at("a")), os.Rename(at("x"), at("b")))
		},
		"released": func(at func(string) string) error {
			return errors.Join(os.Rename(at("a"), at("old")), os.Rename(at("b"), at("a")))
		},
		"removed and moved": func(at func(string) string) error {
			return errors.Join(os.RemoveAll(at("a")), os.Rename(at("b"), at("a")))
		},
		"below": func(at func(string) string) error {
			return errors.Join(os.Rename(at("d/a"), at("d/x")), os.Rename(at("d/b"), at("d/a")), os.Rename(at("d/x"), at("d/b")))
		},
		"moved in again": func(at func(string) string) error {
			return errors.Join(os.Rename(at("d"), at("e")), os.Rename(at("e/a"), at("e/x")), os.Rename(at("e/b"), at("e/a")), os.Rename(at("e"), at("d")))
		},
	} {
		for _, watcher := range []string{"fanotify", "fsnotify"} {
			t.Run(name+"/"+watcher, func(t *testing.T) {
				rsyncdtest.NoLeaks(t)
				l := newLab(t, 1, "    delete_guard: off\n    first_sync: mirror\n    watcher: "+watcher+"\n")
				at := func(p string) string { return filepath.Join(l.root, p) }
				l.twins("a", "b", "d/a", "d/b")
				l.start()
				l.inSync()
				l.must(do(at))
				l.inSync()
			})
		}
	}
}

// twins makes directories whose files have all the same names, sizes and times, and
// each its own content.
func (l *lab) twins(dirs ...string) {
	l.t.Helper()
	when := time.Unix(1_000_000_000, 0)
	for _, d := range dirs {
		for _, f := range []string{"VERSION", "sub/f"} {
			l.write(d+"/"+f, (d + "    ")[:4])
			l.must(os.Chtimes(filepath.Join(l.root, d, f), when, when))
		}
	}
}

// So it is when the brake had held the one that went.
func TestDirectoryInAHeldOnesPlace(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	l := newLab(t, 1, "    delete_guard: {files: 1}\n    first_sync: mirror\n")
	l.twins("a", "b")
	l.start()
	l.inSync()
	l.must(os.Rename(filepath.Join(l.root, "a"), filepath.Join(filepath.Dir(l.root), "away")))
	l.until("the delete is held", func(m status.Module) bool { return m.Targets[0].HeldDeletes > 0 })
	l.must(os.Rename(filepath.Join(l.root, "b"), filepath.Join(l.root, "a")))
	rsyncdtest.Eventually(t, 20*time.Second, func() error {
		got, err := os.ReadFile(filepath.Join(l.slaves[0].Path("data"), "a/VERSION"))
		if err == nil && string(got) != "b   " {
			err = fmt.Errorf("the slave has %q", got)
		}
		return err
	})
}
