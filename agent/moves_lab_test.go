package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"syncagent/rsyncd/rsyncdtest"
)

const linked = "    delete_guard: off\n    first_sync: mirror\n    watcher: fanotify\n"

// forge writes other bytes of the same number and sets the old time back.
func forge(path string, fill byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	b := make([]byte, info.Size())
	for i := range b {
		b[i] = fill
	}
	return errors.Join(os.WriteFile(path, b, 0o644), os.Chtimes(path, info.ModTime(), info.ModTime()))
}

// What is written beside a rename, in the old size and time, is not taken for what the
// slave has under the old name.
func TestForgedTimesBesideARename(t *testing.T) {
	for name, do := range map[string]func(at func(string) string) error{
		"after": func(at func(string) string) error {
			return errors.Join(os.Rename(at("a"), at("c")), forge(at("c/sub/f"), 'n'))
		},
		"before": func(at func(string) string) error {
			return errors.Join(forge(at("a/sub/f"), 'n'), os.Rename(at("a"), at("c")))
		},
		"moved within": func(at func(string) string) error {
			return errors.Join(os.Rename(at("a"), at("c")), os.Rename(at("c/sub/g"), at("c/sub/f")))
		},
		"directories swapped": func(at func(string) string) error {
			return errors.Join(os.Rename(at("a"), at("c")), os.Rename(at("c/sub"), at("c/x")), os.Rename(at("c/bus"), at("c/sub")), os.Rename(at("c/x"), at("c/bus")))
		},
		"of several renames": func(at func(string) string) error {
			return errors.Join(forge(at("a/sub/f"), 'n'), os.Rename(at("a/sub"), at("b")), os.Rename(at("a"), at("c")), os.Rename(at("b"), at("c/sub")))
		},
		"into": func(at func(string) string) error {
			return errors.Join(os.Rename(at("a"), at("c")), os.Rename(at("other"), at("c/sub/f")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			rsyncdtest.NoLeaks(t)
			l := newLab(t, 1, linked)
			at := func(p string) string { return filepath.Join(l.root, p) }
			when := time.Unix(1_000_000_000, 0)
			for p, text := range map[string]string{"a/sub/f": "one", "a/sub/g": "two", "a/bus/f": "333", "a/bus/g": "444", "other": "555"} {
				l.write(p, text)
				l.must(os.Chtimes(at(p), when, when))
			}
			l.start()
			l.inSync()
			l.must(do(at))
			l.inSync()
		})
	}
}
