package chaostest

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

var errNothing = errors.New("nothing has arrived")

func diskCases() []faultCase {
	return []faultCase{
		{
			name: "slave_disk_full", short: true, slaves: 2,
			says:  "the disk of one slave is full, then has room again",
			setup: func(w *world) { w.slaveOnTmpfs(0, "size=8m,mode=0755") },
			fault: func(w *world) {
				w.edit(func() { w.must(os.WriteFile(filepath.Join(w.source, "large"), make([]byte, 20<<20), 0o644)) })
				w.lacks("s1")
				w.shows(time.Minute, "s1", "class disk_full", func(t target) bool { return t.Class == "disk_full" })
				w.arrives(time.Minute, 1)
				w.has("s1")
			},
			heal: func(w *world) { w.remountSlave(0, 0, "size=256m") },
		},
	}
}

// slaveOnTmpfs mounts a slave's tree.
func (w *world) slaveOnTmpfs(i int, options string) {
	w.Helper()
	w.mountTmpfs(w.slaves[i].tree, options)
}

func (w *world) remountSlave(i int, flags uintptr, options string) {
	w.Helper()
	w.must(unix.Mount("", w.slaves[i].tree, "", unix.MS_REMOUNT|flags, options))
}
