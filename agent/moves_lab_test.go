package agent_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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
			l.top = "settle: {quiet: 500ms}\n" // all that is done is told of beside the rename, however busy the machine
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

// mover does random things to directories and to what is in them. All files are of one
// size, each write has a time of its own.
type mover struct {
	root string
	rand *rand.Rand
	made int
}

// dir is a directory that is there, mostly.
func (m *mover) dir() string {
	path := m.root
	for range 1 + m.rand.IntN(3) {
		list, _ := filepath.Glob(path + "/d*")
		if len(list) == 0 {
			break
		}
		path = list[m.rand.IntN(len(list))]
	}
	return path
}

// place is where a directory may go.
func (m *mover) place() string {
	in := m.root
	if m.rand.IntN(2) == 0 {
		in = m.dir()
	}
	return filepath.Join(in, fmt.Sprintf("d%d", m.rand.IntN(5)))
}

func (m *mover) file() string { return filepath.Join(m.dir(), fmt.Sprintf("f%d", m.rand.IntN(3))) }

func (m *mover) put(path string) {
	m.made++ // the clock may stand between two writes
	when := time.Unix(1_000_000_000+int64(m.made), 0)
	if os.WriteFile(path, fmt.Appendf(nil, "%016x", m.rand.Uint64()), 0o644) == nil {
		_ = os.Chtimes(path, when, when)
	}
}

// step does nothing where the tree has no place for it.
func (m *mover) step() string {
	from, to := m.dir(), m.place()
	if from == m.root {
		from = m.place()
	}
	k := m.rand.IntN(16)
	switch {
	case k < 6:
		_ = os.Rename(from, to)
	case k < 7:
		_ = unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE)
	case k < 8:
		_ = os.RemoveAll(from)
	case k < 10:
		if os.Mkdir(to, 0o755) == nil {
			for i := range 3 {
				m.put(filepath.Join(to, fmt.Sprintf("f%d", i)))
			}
		}
	case k < 11:
		_ = os.Chmod(m.file(), 0o600|fs.FileMode(m.rand.IntN(0o100)))
	case k < 12:
		_ = os.Rename(m.file(), m.file())
	default:
		from = m.file()
		m.put(from)
	}
	return fmt.Sprint(k, " ", from, " ", to)
}

// touch has all directories' times sent: that of one through which something only passed
// is left to the next change or sweep.
func (m *mover) touch() {
	_ = filepath.WalkDir(m.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != m.root {
			err = os.Chtimes(path, time.Now(), time.Now())
		}
		return err
	})
}

// Whatever is renamed, swapped, removed and rewritten, what the slave has in the end is
// right.
func TestRenamesConverge(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	l := newLab(t, 1, linked)
	l.start()
	l.inSync()
	m := &mover{root: l.root, rand: rand.New(rand.NewPCG(rsyncdtest.Seed(t), 2))}
	rounds, _ := strconv.Atoi(os.Getenv("SYNCAGENT_TEST_ROUNDS"))
	for range max(rounds, 20) {
		for range 1 + m.rand.IntN(6) {
			l.note(m.step())
			if m.rand.IntN(3) == 0 {
				time.Sleep(time.Duration(m.rand.IntN(40)) * time.Millisecond)
			}
		}
		if m.rand.IntN(3) == 0 {
			m.touch()
			l.inSync()
		}
	}
	m.touch()
	l.inSync()
}

// An old name whose removal is held, and that comes back, shares nothing with the new one.
func TestHeldOldNameComesBack(t *testing.T) {
	for name, large := range map[string]string{"live": "64M", "bulk": "1M"} {
		t.Run(name, func(t *testing.T) { heldComesBack(t, large) })
	}
}

func heldComesBack(t *testing.T, large string) {
	rsyncdtest.NoLeaks(t)
	l := newLab(t, 1, "    first_sync: mirror\n    watcher: fanotify\n    delete_guard: {percent: 10, min: 5}\n    lanes: {large: "+large+"}\n")
	for i := range 20 {
		l.write(fmt.Sprintf("a/f%d", i), strings.Repeat("x", 100<<10))
	}
	l.start()
	l.inSync()
	l.must(os.Rename(filepath.Join(l.root, "a"), filepath.Join(l.root, "c")))
	rsyncdtest.Eventually(t, 20e9, func() error {
		if s := l.status().Targets[0]; s.HeldDeletes == 0 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	l.must(exec.Command("cp", "-a", filepath.Join(l.root, "c"), filepath.Join(l.root, "a")).Run())
	l.inSync()
	l.must(os.Chmod(filepath.Join(l.root, "a/f1"), 0o600))
	l.inSync()
}
