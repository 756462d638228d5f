package agent_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"syncagent/rsyncd/rsyncdtest"
)

// package managers and reproducible builds give every file the same time.
var packed = time.Date(1985, 10, 26, 8, 15, 0, 0, time.UTC)

// deploy makes a directory of a few files of one size and one time.
func (l *lab) deploy(dir, version string) {
	l.t.Helper()
	for _, name := range []string{"a", "b", "sub/c", "sub/deep/d"} {
		file := filepath.Join(dir, name)
		l.must(os.MkdirAll(filepath.Dir(file), 0o755))
		l.must(os.WriteFile(file, []byte(version), 0o644))
	}
	l.must(filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Chtimes(path, packed, packed)
		}
		return err
	}))
}

// A directory in whose place another one comes holds other files, whatever their sizes
// and times: it was seen coming.
func TestAnotherDirectoryOfSameSizesAndTimes(t *testing.T) {
	for name, settings := range map[string]string{
		"fanotify":    "    watcher: fanotify\n",
		"fsnotify":    "    watcher: fsnotify\n",
		"expressions": "    filter_regex: ['.*\\.svn']\n",
		"bulk":        "    lanes: {large: 3}\n",
	} {
		t.Run(name, func(t *testing.T) { anotherDirectory(t, settings) })
	}
}

func anotherDirectory(t *testing.T, settings string) {
	rsyncdtest.NoLeaks(t)
	l := newLab(t, 1, "    delete_guard: off\n    first_sync: mirror\n"+settings)
	at := func(name string) string { return filepath.Join(l.root, name) }
	l.deploy(at("current"), "v1")
	l.deploy(at("next"), "v2")
	l.start()
	l.inSync()
	for _, step := range []struct {
		what string
		do   func()
	}{
		{"swapped", func() {
			l.must(os.Rename(at("current"), at("old")))
			l.must(os.Rename(at("next"), at("current")))
		}},
		{"removed and made again", func() {
			l.must(os.RemoveAll(at("current")))
			l.deploy(at("current"), "v3")
		}},
		{"replaced by one from outside", func() {
			l.deploy(filepath.Join(l.dir, "outside"), "v4")
			l.must(os.RemoveAll(at("current")))
			l.must(os.Rename(filepath.Join(l.dir, "outside"), at("current")))
		}},
		{"replaced above", func() {
			l.deploy(at("top/mid/low"), "v1")
			l.inSync()
			l.deploy(filepath.Join(l.dir, "outside/mid/low"), "v5")
			l.must(os.RemoveAll(at("top")))
			l.must(os.Rename(filepath.Join(l.dir, "outside"), at("top")))
		}},
	} {
		t.Log(step.what)
		step.do()
		l.inSync()
	}
}
