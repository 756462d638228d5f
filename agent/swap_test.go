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

// What is written under one name of a file that then goes arrives under the others.
func TestNameThatGoesAfterAWrite(t *testing.T) {
	type at = func(string) string
	for name, c := range map[string]struct {
		first, then func(at) error
		only        string // watcher that sees this
	}{
		"of one that was known": {
			then: func(at at) error { return errors.Join(os.WriteFile(at("b"), []byte("two"), 0o644), os.Remove(at("b"))) },
		},
		"of a new one": {
			first: func(at at) error { return os.Link(at("a"), at("c")) },
			then: func(at at) error {
				return errors.Join(os.WriteFile(at("c"), []byte("three"), 0o644), os.Remove(at("c")))
			},
		},
		"of one that was replaced": {
			first: func(at at) error { return os.Link(at("a"), at("c")) },
			then: func(at at) error {
				return errors.Join(os.WriteFile(at("c"), []byte("four"), 0o644), os.WriteFile(at("d"), nil, 0o644), os.Rename(at("d"), at("c")))
			},
		},
		"of one in a new directory": {
			first: func(at at) error { return errors.Join(os.Mkdir(at("n"), 0o755), os.Link(at("a"), at("n/c"))) },
			then: func(at at) error {
				return errors.Join(os.WriteFile(at("n/c"), []byte("five"), 0o644), os.Remove(at("n/c")))
			},
			only: "fanotify",
		},
		"of one that stays in a new directory": {
			first: func(at at) error { return errors.Join(os.Mkdir(at("n"), 0o755), os.Link(at("a"), at("n/c"))) },
			then:  func(at at) error { return os.WriteFile(at("n/c"), []byte("six"), 0o644) },
			only:  "fanotify",
		},
	} {
		for _, watcher := range []string{"fanotify", "fsnotify"} {
			if c.only != "" && c.only != watcher {
				continue
			}
			t.Run(name+"/"+watcher, func(t *testing.T) {
				rsyncdtest.NoLeaks(t)
				l := newLab(t, 1, "    delete_guard: off\n    first_sync: mirror\n    watcher: "+watcher+"\n")
				l.top = "settle: {quiet: 500ms}\n" // all of it is one batch
				at := func(p string) string { return filepath.Join(l.root, p) }
				l.write("a", "one")
				l.must(os.Link(at("a"), at("b")))
				l.start()
				l.inSync()
				if c.first != nil {
					before := l.status().Events
					l.must(c.first(at))
					l.until("the watcher has seen the new name", func(m status.Module) bool { return m.Events > before })
				}
				l.must(c.then(at))
				l.inSync()
			})
		}
	}
}
