package agent_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"syncagent/agent/status"
	"syncagent/rsyncd/rsyncdtest"
)

// fill makes n files below dir of the source.
func (l *lab) fill(dir string, n int) {
	l.t.Helper()
	for i := range n {
		l.write(fmt.Sprintf("%s/file%03d", dir, i), fmt.Sprintf("content %d\n", i))
	}
}

// count is the number of entries of a slave's directory.
func (l *lab) count(slave int, dir string) int {
	entries, err := os.ReadDir(filepath.Join(l.slaves[slave].Path("data"), dir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.t.Fatal(err)
	}
	return len(entries)
}

// until polls the module's status.
func (l *lab) until(what string, ok func(status.Module) bool) {
	l.t.Helper()
	rsyncdtest.Eventually(l.t, 30*time.Second, func() error {
		if m := l.status(); !ok(m) {
			return fmt.Errorf("waiting until %s: %+v", what, m)
		}
		return nil
	})
}

func TestMassDeleteIsHeldUntilApproved(t *testing.T) {
	l := newLab(t, 1, "")
	l.fill("app", 200)
	l.start()
	l.inSync()
	l.must(os.RemoveAll(filepath.Join(l.root, "app")))
	l.until("deletes are held", func(m status.Module) bool { return m.Targets[0].HeldDeletes > 140 })
	if got := l.count(0, "app"); got < 140 {
		t.Errorf("slave has %d of 200 files although deletes above 30 %% are held", got)
	}
	l.write("other", "flows on\n")
	l.until("other changes flow", func(m status.Module) bool { return m.Targets[0].Pending == 0 && l.count(0, ".") == 2 })
	held := l.master.Held(status.Scope{})
	if len(held) != 1 || held[0].Count != l.count(0, "app")+1 {
		t.Fatalf("held is %+v", held)
	}
	l.must(l.master.Approve(status.ApproveRequest{Digests: []string{held[0].Digest}}))
	l.inSync()
}

func TestHeldDeletesSurviveARestart(t *testing.T) {
	l := newLab(t, 1, "")
	l.fill("app", 200)
	l.start()
	l.inSync()
	l.must(os.RemoveAll(filepath.Join(l.root, "app")))
	l.until("deletes are held", func(m status.Module) bool { return m.Targets[0].HeldDeletes > 140 })
	l.stop()
	l.start()
	l.until("the sweep is done", func(m status.Module) bool {
		return m.Targets[0].HeldDeletes > 0 && m.Targets[0].State == status.Idle
	})
	if got := l.count(0, "app"); got < 140 {
		t.Errorf("slave has %d of 200 files although deletes above 30 %% are held", got)
	}
}

func TestApprovalIsBoundToWhatWasShown(t *testing.T) {
	l := newLab(t, 1, "    delete_guard: {percent: 1, min: 0}\n")
	l.fill("a", 10)
	l.fill("b", 10)
	l.start()
	l.inSync()
	l.must(os.RemoveAll(filepath.Join(l.root, "a")))
	l.until("deletes are held", func(m status.Module) bool { return m.Targets[0].HeldDeletes == 11 })
	shown := l.master.Held(status.Scope{})[0].Digest
	l.must(os.RemoveAll(filepath.Join(l.root, "b")))
	l.until("more deletes are held", func(m status.Module) bool { return m.Targets[0].HeldDeletes == 22 })
	if err := l.master.Approve(status.ApproveRequest{Digests: []string{shown}}); err == nil {
		t.Error("an approval of what was shown before was taken")
	}
	if l.count(0, "a") != 10 || l.count(0, "b") != 10 {
		t.Error("something was deleted without an approval of it")
	}
}

func TestFirstSyncHoldsWhatTheSlaveHas(t *testing.T) {
	l := newLab(t, 1, "")
	theirs := filepath.Join(l.slaves[0].Path("data"), "theirs")
	l.must(os.Mkdir(theirs, 0o755))
	l.must(os.WriteFile(filepath.Join(theirs, "file"), []byte("mine\n"), 0o644))
	l.write("ours", "text\n")
	l.start()
	l.until("the first sweep is done", func(m status.Module) bool {
		return m.Targets[0].HeldDeletes == 2 && m.Targets[0].Pending == 0
	})
	if _, err := os.Stat(filepath.Join(theirs, "file")); err != nil {
		t.Errorf("the slave's own file: %v", err)
	}
	l.must(l.master.Approve(status.ApproveRequest{Digests: []string{l.master.Held(status.Scope{})[0].Digest}}))
	l.inSync()
}

func TestExcludedContentOutlivesItsDirectory(t *testing.T) {
	l := newLab(t, 1, "    filter: [\"- cache/\", \"- *.tmp\"]\n")
	l.fill("app/lib", 3)
	l.start()
	l.inSync()
	cache := filepath.Join(l.slaves[0].Path("data"), "app/cache")
	l.must(os.Mkdir(cache, 0o755))
	l.must(os.WriteFile(filepath.Join(cache, "session"), []byte("theirs\n"), 0o644))
	l.must(os.RemoveAll(filepath.Join(l.root, "app")))
	l.until("the rest is gone", func(m status.Module) bool { return l.count(0, "app") == 1 && m.Targets[0].Pending == 0 })
	if _, err := os.Stat(filepath.Join(cache, "session")); err != nil {
		t.Errorf("the slave's excluded file: %v", err)
	}
	l.until("it counts as equal", func(m status.Module) bool { return !m.Targets[0].Behind() })
}

// mount mounts a small file system for the test.
func (l *lab) mount(dir string) {
	l.t.Helper()
	l.must(os.MkdirAll(dir, 0o755))
	l.must(syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"))
	l.t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// bind mounts from on to for the test; what is unmounted can be had back.
func (l *lab) bind(from, to string) {
	l.t.Helper()
	l.must(os.MkdirAll(to, 0o755))
	l.must(syscall.Mount(from, to, "", syscall.MS_BIND, ""))
	l.t.Cleanup(func() { _ = syscall.Unmount(to, syscall.MNT_DETACH) })
}

func TestUnmountedRootDeletesNothing(t *testing.T) {
	l := newLab(t, 1, "    delete_guard: off\n    warm: false\n")
	disk := filepath.Join(l.dir, "disk")
	l.mount(disk)
	l.bind(disk, l.root)
	l.fill("app", 20)
	l.start()
	l.inSync()
	l.unmount(l.root)
	l.until("it is blocked", func(m status.Module) bool {
		return m.Targets[0].State == status.Blocked && strings.Contains(m.Targets[0].LastError, l.root)
	})
	if got := l.count(0, "app"); got != 20 {
		t.Errorf("slave has %d of 20 files after the source was unmounted", got)
	}
	l.bind(disk, l.root)
	l.write("app/later", "back again\n")
	l.inSync()
}

func TestUnmountBelowTheRootDeletesNothing(t *testing.T) {
	l := newLab(t, 1, "    delete_guard: off\n    warm: false\n")
	disk := filepath.Join(l.dir, "disk")
	l.mount(disk)
	inner := filepath.Join(l.root, "media")
	l.bind(disk, inner)
	l.fill("media", 20)
	l.fill("app", 5)
	l.start()
	l.inSync()
	l.unmount(inner)
	l.until("it is blocked", func(m status.Module) bool {
		return m.Targets[0].State == status.Blocked && strings.Contains(m.Targets[0].LastError, "media")
	})
	l.write("app/meanwhile", "flows on\n")
	l.until("the rest flows on", func(status.Module) bool { return l.count(0, "app") == 6 })
	l.must(l.sweep())
	if got := l.count(0, "media"); got != 20 {
		t.Errorf("slave has %d of 20 files after the mount below the root went", got)
	}
	l.bind(disk, inner)
	l.write("media/later", "back again\n")
	l.inSync()
}

// unmount retries while a look at the tree keeps the mount busy.
func (l *lab) unmount(dir string) {
	l.t.Helper()
	rsyncdtest.Eventually(l.t, 10*time.Second, func() error { return syscall.Unmount(dir, 0) })
}

// sweep runs one sweep through the door the command uses.
func (l *lab) sweep() error {
	return l.master.Sync(l.t.Context(), status.SyncRequest{}, func(status.SyncUpdate) {})
}

func TestReplacedRootIsBlocked(t *testing.T) {
	l := newLab(t, 1, "    delete_guard: off\n")
	l.fill("app", 20)
	l.start()
	l.inSync()
	l.must(os.Rename(l.root, l.root+".old"))
	l.must(os.Mkdir(l.root, 0o755))
	l.write("new", "another tree\n")
	l.until("it is blocked", func(m status.Module) bool { return m.Targets[0].State == status.Blocked })
	if got := l.count(0, "app"); got != 20 {
		t.Errorf("slave has %d of 20 files after the root was replaced", got)
	}
	var held []status.Held
	rsyncdtest.Eventually(t, 10*time.Second, func() error {
		if held = l.master.Held(status.Scope{Module: "data"}); len(held) != 1 {
			return fmt.Errorf("held is %+v", held)
		}
		return nil
	})
	l.must(l.master.Approve(status.ApproveRequest{Digests: []string{held[0].Digest}}))
	l.inSync()
}

func TestEmptiedByHandIsLegitimate(t *testing.T) {
	l := newLab(t, 1, "    delete_guard: off\n")
	l.fill("app", 20)
	l.write("page", "text\n")
	l.start()
	l.inSync()
	l.must(os.RemoveAll(filepath.Join(l.root, "app")))
	l.must(os.Remove(filepath.Join(l.root, "page")))
	l.inSync()
}

func TestEmptyAtStartIsBlocked(t *testing.T) {
	l := newLab(t, 1, "    delete_guard: off\n")
	l.fill("app", 20)
	l.start()
	l.inSync()
	l.stop()
	l.must(os.RemoveAll(filepath.Join(l.root, "app")))
	l.start()
	l.until("it is blocked", func(m status.Module) bool { return m.Targets[0].State == status.Blocked })
	if got := l.count(0, "app"); got != 20 {
		t.Errorf("slave has %d of 20 files after the source was found empty", got)
	}
}

func TestMissingSourceIsWaitedFor(t *testing.T) {
	l := newLab(t, 1, "")
	l.must(os.Remove(l.root))
	l.start()
	if s := l.status().Targets[0].State; s != status.Blocked {
		t.Errorf("state is %s without a source directory", s)
	}
	l.must(os.Mkdir(l.root, 0o755))
	l.write("page", "text\n")
	l.inSync()
}

func TestDeadSlaveDelaysNobody(t *testing.T) {
	l := newLab(t, 2, "")
	l.start()
	l.inSync()
	l.slaves[0].Kill()
	for i := range 20 {
		l.write("page", fmt.Sprintf("version %d\n", i))
		want := fmt.Sprintf("version %d\n", i)
		rsyncdtest.Eventually(t, 10*time.Second, func() error {
			got, err := os.ReadFile(filepath.Join(l.slaves[1].Path("data"), "page"))
			if err == nil && string(got) != want {
				err = fmt.Errorf("the living slave has %q", got)
			}
			return err
		})
	}
	l.until("the dead one is known", func(m status.Module) bool { return m.Targets[0].LastError != "" && m.Targets[0].Pending > 0 })
	l.slaves[0].Restart()
	l.inSync()
}

func TestSameSecondRewritesArrive(t *testing.T) {
	l := newLab(t, 1, "")
	l.start()
	l.inSync()
	for i := range 60 {
		l.write("page", fmt.Sprintf("%08d\n", i))
		time.Sleep(time.Duration(i%7) * time.Millisecond)
	}
	l.inSync()
}

func TestReplacedDirectoryPassesTheGate(t *testing.T) {
	l := newLab(t, 1, "    filter: [\"- cache/\"]\n    delete_guard: {percent: 1, min: 20}\n")
	l.fill("small", 5)
	l.fill("big", 30)
	l.fill("own", 2)
	l.start()
	l.inSync()
	there := l.slaves[0].Path("data")
	l.must(os.Mkdir(filepath.Join(there, "own/cache"), 0o755))
	replace := func(name string) {
		l.must(os.Rename(filepath.Join(l.root, name), filepath.Join(l.dir, name)))
		l.write(name, "a file now\n")
	}
	replace("small")
	l.until("the small one is replaced", func(status.Module) bool {
		info, err := os.Stat(filepath.Join(there, "small"))
		return err == nil && info.Mode().IsRegular()
	})
	replace("own")
	l.until("the one with excluded content fails", func(m status.Module) bool { return m.Targets[0].Failing == 1 })
	replace("big")
	l.until("the big one is held", func(m status.Module) bool { return m.Targets[0].HeldDeletes == 31 })
	if got := l.count(0, "big"); got != 30 {
		t.Errorf("slave has %d of 30 files although their removal is held", got)
	}
	if _, err := os.Stat(filepath.Join(there, "own/cache")); err != nil {
		t.Errorf("the slave's excluded directory: %v", err)
	}
	l.must(l.master.Approve(status.ApproveRequest{Digests: []string{l.master.Held(status.Scope{})[0].Digest}}))
	l.must(os.Remove(filepath.Join(there, "own/cache")))
	l.must(l.sweep())
	l.inSync()
}

// TestMountOverFilesDeletesNothing: a new disk hides what stood below it. The removal
// is too small for the delete guard.
func TestMountOverFilesDeletesNothing(t *testing.T) {
	l := newLab(t, 1, "    delete_guard: off\n    warm: false\n")
	l.fill("media", 5)
	l.fill("app", 5)
	l.start()
	l.inSync()
	inner := filepath.Join(l.root, "media")
	l.mount(inner)
	l.until("it is blocked", func(m status.Module) bool {
		return m.Targets[0].State == status.Blocked && strings.Contains(m.Targets[0].LastError, "mounted over it")
	})
	l.must(l.sweep())
	l.write("app/meanwhile", "flows on\n")
	l.until("the rest flows on", func(status.Module) bool { return l.count(0, "app") == 6 })
	if got := l.count(0, "media"); got != 5 {
		t.Errorf("slave has %d of 5 files after a disk was mounted over them", got)
	}
	l.write("media/moved", "this is what is there now\n")
	l.inSync()
	if got := l.count(0, "media"); got != 1 {
		t.Errorf("slave has %d files, the disk has one", got)
	}
}
