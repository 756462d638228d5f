package agent_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"syncagent/rsyncd/rsyncdtest"
)

// A large file on a slow line takes long enough for all that is done beside it.
const (
	slowWire  = ", bwlimit: 2M"
	largeSize = 24 << 20
	someLarge = "    lanes: {large: 1M}\n    delete_guard: off\n    first_sync: mirror\n"
)

// large writes a large file and waits until a part of it is on the slave.
func (l *lab) large(size int, names ...string) {
	l.t.Helper()
	for i, name := range names {
		path := filepath.Join(l.root, name)
		l.must(os.MkdirAll(filepath.Dir(path), 0o755))
		l.must(os.WriteFile(path, bytes.Repeat([]byte{byte(i), 'x'}, size/2), 0o644))
	}
	rsyncdtest.Eventually(l.t, time.Minute, func() error {
		for _, name := range names {
			if l.arriving(name) {
				return nil
			}
		}
		return fmt.Errorf("nothing of %v is on its way", names)
	})
}

// arriving reports whether the slave holds a part of the file.
func (l *lab) arriving(name string) bool {
	path := filepath.Join(l.slaves[0].Path("data"), name)
	parts, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".??????"))
	return len(parts) > 0
}

func TestSmallChangeOvertakesALargeFile(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	l := newLab(t, 1, someLarge)
	l.wire = slowWire
	l.start()
	l.write("d/first", "1") // a file that grows while its new directory is sent goes with it
	l.inSync()
	l.large(largeSize, "d/big")
	l.write("d/small", "1")
	l.must(os.Mkdir(filepath.Join(l.root, "d/new"), 0o755))
	l.write("d/new/file", "1")
	rsyncdtest.Eventually(t, time.Minute, func() error {
		for _, name := range []string{"d/small", "d/new/file"} {
			if _, err := os.Stat(filepath.Join(l.slaves[0].Path("data"), name)); err != nil {
				return err
			}
		}
		return nil
	})
	if !l.arriving("d/big") {
		t.Error("the small changes came after the large file")
	}
	if s := l.status().Targets[0]; s.Pending == 0 || !s.InSyncAsOf.Before(time.Now().Add(-10*time.Millisecond)) {
		t.Errorf("the target counts as equal while a file is on its way: %+v", s)
	}
	l.inSync()
}

// Whatever is done at, above and below what is on its way, all ends equal.
func TestChangesOfWhatIsOnItsWay(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	l := newLab(t, 1, someLarge)
	l.wire = slowWire
	l.start()
	l.inSync()
	at := func(name string) string { return filepath.Join(l.root, name) }
	l.large(4<<20, "rewritten/big", "shrunk/big", "removed/big", "mode/big", "moved/big", "file/big", "dir/big")
	l.must(os.WriteFile(at("rewritten/big"), bytes.Repeat([]byte("new."), 1<<20), 0o644))
	l.write("shrunk/big", "small now")
	l.must(os.RemoveAll(at("removed")))
	l.must(os.Chmod(at("mode"), 0o700))
	l.must(os.Rename(at("moved"), at("elsewhere")))
	l.must(os.RemoveAll(at("file")))
	l.write("file", "no directory any more")
	l.must(os.Remove(at("dir/big")))
	l.write("dir/big/below", "1")
	l.inSync()
}

// A stop in the middle returns what is on its way, and the next start sends it.
func TestStopWhileALargeFileIsOnItsWay(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	l := newLab(t, 1, someLarge)
	l.wire = slowWire
	l.start()
	l.inSync()
	l.large(largeSize, "d/big")
	l.stop()
	if l.arriving("d/big") {
		t.Error("a part of the file was left behind")
	}
	l.wire = ""
	l.start()
	l.inSync()
}

// The children have the priority that is asked for, and we keep ours.
func TestPriorityOfTheChildren(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	l := newLab(t, 1, someLarge)
	l.wire, l.top = slowWire, "nice: 3\nionice: idle\n"
	l.start()
	l.inSync()
	l.large(4<<20, "big")
	own := niceOf(t, "self")
	if got := niceOf(t, l.child()); got != min(own+3, 19) {
		t.Errorf("nice value of rsync is %d, ours %d", got, own)
	}
	l.inSync()
}

// child is the pid of the bulk run.
func (l *lab) child() string {
	l.t.Helper()
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		b, _ := os.ReadFile(file)
		if bytes.Contains(b, []byte("--bwlimit")) && bytes.Contains(b, []byte(fmt.Sprint(l.slaves[0].Port))) && bytes.Contains(b, []byte("/proc/self/fd")) {
			return filepath.Base(filepath.Dir(file))
		}
	}
	l.t.Fatal("no rsync runs")
	return ""
}

// niceOf reads field 19 of proc_pid_stat(5).
func niceOf(t *testing.T, pid string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))[16])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A renamed directory is not sent again: the slaves link what they have, in either lane.
func TestRenamedDirectoryIsLinked(t *testing.T) {
	for name, files := range map[string]int{"small": 20, "much": 1200} {
		t.Run(name, func(t *testing.T) {
			rsyncdtest.NoLeaks(t)
			l := newLab(t, 2, someLarge+"    watcher: fanotify\n")
			for i := range files {
				l.write(fmt.Sprintf("before/sub/f%04d", i), "content")
			}
			l.write("before/large", strings.Repeat("x", 2<<20))
			l.must(os.Mkdir(filepath.Join(l.root, "releases"), 0o755))
			l.start()
			l.inSync()
			inodes := l.inodes("before/sub/f0007", "before/large")
			sent := l.bytes()
			l.must(os.Rename(filepath.Join(l.root, "before"), filepath.Join(l.root, "releases/after")))
			l.inSync()
			if got := l.inodes("releases/after/sub/f0007", "releases/after/large"); !slices.Equal(got, inodes) {
				t.Errorf("inodes %v were %v", got, inodes)
			}
			if now := l.bytes(); now != sent {
				t.Errorf("%d bytes were sent", now-sent)
			}
		})
	}
}

// inodes returns what the names are on each slave.
func (l *lab) inodes(names ...string) (list []uint64) {
	l.t.Helper()
	for _, s := range l.slaves {
		for _, name := range names {
			fi, err := os.Stat(filepath.Join(s.Path("data"), name))
			l.must(err)
			list = append(list, fi.Sys().(*syscall.Stat_t).Ino)
		}
	}
	return list
}

// bytes is how much was sent to all slaves.
func (l *lab) bytes() (sum int64) {
	for _, t := range l.status().Targets {
		sum += t.Bytes
	}
	return sum
}
