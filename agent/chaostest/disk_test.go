package chaostest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func diskCases() []faultCase {
	return []faultCase{
		{
			name: "slave_disk_full", short: true, slaves: 2,
			says:  "the disk of one slave is full, then has room again",
			disks: []string{"size=8m,mode=0755"},
			fault: func(w *world) {
				w.file("large", 20<<20)
				w.lacks("s1")
				w.showsClass("s1", "disk_full")
				w.arrives(time.Minute, 1)
				w.has("s1")
			},
			heal: func(w *world) { w.remountSlave(0, 0, "size=256m") },
		},
		{
			name: "slave_inodes_full", slaves: 2, quiet: true,
			says:  "one slave has no inodes left, then has some again",
			disks: []string{"nr_inodes=50,mode=0755"},
			fault: func(w *world) {
				w.files("many", 100)
				w.lacks("s1")
				w.shows(time.Minute, "s1", "a failure", func(t target) bool { return t.Class != "" && t.Behind() })
				w.arrives(time.Minute, 1)
				w.has("s1")
			},
			heal: func(w *world) { w.remountSlave(0, 0, "nr_inodes=10000") },
		},
		{
			name: "slave_read_only", short: true, slaves: 2,
			says:  "the file system of one slave is read-only, then can be written again",
			disks: []string{"mode=0755"},
			fault: func(w *world) {
				w.remountSlave(0, unix.MS_RDONLY, "")
				w.file("while-read-only", 10)
				w.lacks("s1")
				w.showsClass("s1", "read_only")
				w.arrives(time.Minute, 1)
				w.has("s1")
			},
			heal: func(w *world) { w.remountSlave(0, 0, "") },
		},
		{
			name: "slave_file_immutable", quiet: true,
			says: "a file and a directory of the slave are immutable, then are not",
			fault: func(w *world) {
				w.file("fixed", 10)
				w.file("dir/file", 10)
				w.converge(settleTime)
				w.Cleanup(func() { _ = exec.Command("chattr", "-R", "-i", w.slaves[0].tree).Run() }) // else it cannot be removed
				w.chattr("+i", "fixed", "dir")
				w.file("fixed", 20)
				w.file("dir/new", 20)
				w.shows(time.Minute, "s1", "failing paths", func(t target) bool { return t.Failing >= 2 && t.Class == "partial" })
				w.arrives(time.Minute, 0)
			},
			heal: func(w *world) { w.chattr("-i", "fixed", "dir") },
		},
		{
			name: "module_gone", slaves: 2,
			says: "the directory of one slave's module is gone, then back",
			fault: func(w *world) {
				s := w.slaves[0]
				w.tamper(func() { w.must(os.Rename(s.tree, s.tree+".away")) })
				w.shows(time.Minute, "s1", "a failure", func(t target) bool { return t.Class != "" })
				w.arrives(time.Minute, 1)
			},
			heal: func(w *world) {
				s := w.slaves[0]
				w.must(os.RemoveAll(s.tree)) // should somebody have made it anew
				w.must(os.Rename(s.tree+".away", s.tree))
				w.amend()
			},
		},
		{
			name: "module_other_owner", quiet: true,
			says: "the module's directory belongs to somebody whom the daemon is not, then to the right one",
			setup: func(w *world) {
				w.slaves[0].reconfigure(w, "path: "+w.slaves[0].tree, fmt.Sprintf("uid: nobody, gid: nogroup, path: %s", w.slaves[0].tree))
				w.must(errors.Join(os.Chown(w.slaves[0].tree, nobody, nogroup), os.Chown(w.source, nobody, nogroup)))
			},
			fault: func(w *world) {
				w.must(os.Chown(w.slaves[0].tree, 0, 0))
				w.file("refused", 10)
				w.must(os.Chown(filepath.Join(w.source, "refused"), nobody, nogroup))
				w.lacks("s1")
				w.shows(time.Minute, "s1", "a failing path", func(t target) bool { return t.Failing == 1 && t.Class == "partial" })
				pause(3 * time.Second)
				w.has("s1")
			},
			heal: func(w *world) { w.must(os.Chown(w.slaves[0].tree, nobody, nogroup)) },
		},
		{
			name: "slave_drifts",
			says: "files of the slave are edited, removed and added by hand, a directory becomes a link elsewhere; a sweep is asked for",
			fault: func(w *world) {
				w.files("drift", 20)
				w.converge(settleTime)
				w.drift(filepath.Join(w.slaves[0].tree, "drift"))
				w.master.run(agentBinary(), "sync", "-c", w.conf)
				w.amend()
			},
			quiet: true,
			heal:  func(w *world) { w.same("elsewhere/f0001", "not ours") },
		},
	}
}

const (
	nobody  = 65534
	nogroup = 65534
)

// file writes a file of a size into the master's tree. Random edits leave it
// alone: what a case waits for must not be gone before the slave saw it.
func (w *world) file(name string, size int) {
	w.Helper()
	w.editAlone(func() {
		top, _, _ := strings.Cut(name, "/")
		w.churn.Spare(top)
		path := filepath.Join(w.source, name)
		w.must(os.MkdirAll(filepath.Dir(path), 0o755))
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(w.rand.Uint32())
		}
		w.must(os.WriteFile(path, b, 0o644))
	})
}

// files writes n small files into a directory.
func (w *world) files(dir string, n int) {
	w.Helper()
	for i := range n {
		w.file(fmt.Sprintf("%s/f%04d", dir, i+1), 100)
	}
}

// drift does to a directory of a slave what people do by hand.
func (w *world) drift(dir string) {
	w.Helper()
	elsewhere := filepath.Join(w.dir, "elsewhere")
	w.must(os.Mkdir(elsewhere, 0o755))
	w.write(filepath.Join(elsewhere, "f0001"), "not ours")
	w.tamper(func() {
		w.must(errors.Join(
			os.WriteFile(filepath.Join(dir, "f0001"), []byte("edited"), 0o644),
			os.Remove(filepath.Join(dir, "f0002")),
			os.Chmod(filepath.Join(dir, "f0003"), 0o600),
			os.WriteFile(filepath.Join(dir, "added"), []byte("added"), 0o644),
			os.Rename(dir, dir+".old"),
			os.Symlink(elsewhere, dir)))
	})
}

// same requires a file of the world's to hold a text.
func (w *world) same(name, text string) {
	w.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	w.must(err)
	if string(b) != text {
		w.Errorf("%s holds %q, not %q", name, b, text)
	}
}

func (w *world) remountSlave(i int, flags uintptr, options string) {
	w.Helper()
	w.must(unix.Mount("", w.slaves[i].tree, "", unix.MS_REMOUNT|flags, options))
}

// chattr changes flags of entries of the first slave.
func (w *world) chattr(flag string, names ...string) {
	w.Helper()
	for _, name := range names {
		if out, err := exec.Command("chattr", flag, filepath.Join(w.slaves[0].tree, name)).CombinedOutput(); err != nil {
			w.Fatalf("chattr: %v: %s", err, out)
		}
	}
}
