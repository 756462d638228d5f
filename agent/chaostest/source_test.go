package chaostest

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

func sourceCases() []faultCase {
	return []faultCase{
		{
			name: "source_unmounted", short: true, quiet: true,
			says:  "the source is unmounted, so an empty directory stands there, and mounted again",
			setup: func(w *world) { w.sourceMounted() },
			fault: func(w *world) {
				w.untouched(func() { w.must(unix.Unmount(w.source, unix.MNT_DETACH)) })
			},
			heal: func(w *world) { w.must(unix.Mount(w.disk(), w.source, "", unix.MS_BIND, "")) },
		},
		{
			name: "source_mounted_over", quiet: true,
			says:  "another file system is mounted over the source, then taken away",
			setup: func(w *world) { w.files("kept", 100) },
			fault: func(w *world) {
				w.untouched(func() { w.must(unix.Mount("chaos", w.source, "tmpfs", 0, "mode=0755")) })
			},
			heal: func(w *world) { w.must(unix.Unmount(w.source, unix.MNT_DETACH)) },
		},
		{
			name: "source_replaced", short: true, quiet: true,
			says:  "the source is another directory of the same name, then the right one again",
			setup: func(w *world) { w.files("kept", 100) },
			fault: func(w *world) {
				w.untouched(func() {
					w.must(errors.Join(os.Rename(w.source, w.source+".away"), os.Mkdir(w.source, 0o755),
						os.WriteFile(filepath.Join(w.source, "foreign"), nil, 0o644)))
				})
			},
			heal: func(w *world) {
				w.edit(func() { w.must(errors.Join(os.RemoveAll(w.source), os.Rename(w.source+".away", w.source))) })
			},
		},
		{
			name: "source_gone_restarted", quiet: true,
			says:  "the source is gone, the agent is killed and started meanwhile, and the source is back",
			setup: func(w *world) { w.files("kept", 100) },
			fault: func(w *world) {
				w.untouched(func() {
					w.must(os.Rename(w.source, w.source+".away"))
					w.agent.kill()
					w.startAgent()
				})
			},
			heal: func(w *world) { w.edit(func() { w.must(os.Rename(w.source+".away", w.source)) }) },
		},
		{
			name: "source_becomes_link", quiet: true,
			says:  "the source becomes a link to an empty directory, then itself again",
			setup: func(w *world) { w.files("kept", 100) },
			fault: func(w *world) {
				w.untouched(func() {
					w.must(errors.Join(os.Rename(w.source, w.source+".away"), os.Symlink(w.outside, w.source)))
				})
			},
			heal: func(w *world) {
				w.edit(func() { w.must(errors.Join(os.Remove(w.source), os.Rename(w.source+".away", w.source))) })
			},
		},
		{
			name: "source_emptied", quiet: true,
			says:  "everything in the source is removed under the agent's eyes, and made again",
			setup: func(w *world) { w.files("kept", 100) },
			fault: func(w *world) {
				w.edit(func() { w.must(os.RemoveAll(filepath.Join(w.source, "kept"))) })
				w.converge(settleTime)
			},
			heal: func(w *world) { w.files("kept", 100) },
		},
		{
			name: "source_emptied_unseen", quiet: true,
			says:  "everything in the source is removed while no agent runs, and restored while one does",
			setup: func(w *world) { w.files("kept", 100) },
			fault: func(w *world) {
				w.agent.kill()
				w.untouched(func() {
					w.must(os.Rename(filepath.Join(w.source, "kept"), filepath.Join(w.outside, "kept")))
					w.startAgent()
				})
			},
			heal: func(w *world) {
				w.edit(func() { w.must(os.Rename(filepath.Join(w.outside, "kept"), filepath.Join(w.source, "kept"))) })
			},
		},
		{
			name: "mass_delete_held", quiet: true,
			settings: "delete_guard: {percent: 30, min: 10, files: 0}\n",
			says:     "most of the source is removed at once: it is held, and restored",
			setup:    func(w *world) { w.files("kept", 100); w.files("others", 20) },
			fault: func(w *world) {
				w.edit(func() {
					w.must(os.Rename(filepath.Join(w.source, "kept"), filepath.Join(w.outside, "kept")))
				})
				w.shows(time.Minute, "s1", "held deletes", func(t target) bool { return t.HeldDeletes > 0 && t.Behind() })
				w.keeps("kept/f0100")
				w.arrives(time.Minute, 0)
			},
			heal: func(w *world) {
				w.edit(func() { w.must(os.Rename(filepath.Join(w.outside, "kept"), filepath.Join(w.source, "kept"))) })
			},
		},
	}
}

// disk is a file system that a case mounts as its source.
func (w *world) disk() string { return filepath.Join(w.dir, "disk") }

// sourceMounted makes the source a mount point with some files.
func (w *world) sourceMounted() {
	w.Helper()
	w.mountTmpfs(w.disk(), "mode=0755")
	w.must(unix.Mount(w.disk(), w.source, "", unix.MS_BIND, ""))
	w.Cleanup(func() { _ = unix.Unmount(w.source, unix.MNT_DETACH) })
	w.files("kept", 100)
}

// untouched takes the source away and holds the agent to saying so, and to
// leaving the slave alone for some seconds.
func (w *world) untouched(away func()) {
	w.Helper()
	w.edit(away)
	w.shows(time.Minute, "s1", "state blocked", func(t target) bool { return t.State == "blocked" && t.Class == "source_gone" })
	pause(5 * time.Second)
	w.keeps("kept/f0001", "kept/f0100")
}

// keeps requires the first slave to have files.
func (w *world) keeps(names ...string) {
	w.Helper()
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(w.slaves[0].tree, name)); err != nil {
			w.Fatalf("the slave lost a file: %v", err)
		}
	}
}
