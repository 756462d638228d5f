package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"syncagent/agent/root"
	"syncagent/agent/tree"
)

func (b *rig) link(old, name string) {
	b.Helper()
	b.must(os.MkdirAll(filepath.Dir(filepath.Join(b.dir, name)), 0o755))
	b.must(os.Link(filepath.Join(b.dir, old), filepath.Join(b.dir, name)))
}

// rewrite changes a file in place, as a writer through one of its names does.
func (b *rig) rewrite(name, content string) {
	b.Helper()
	b.must(os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o644))
}

// linkedRig has the names of one file confirmed and known, and no sweep wanted.
func linkedRig(t *testing.T, names ...string) *rig {
	b := newRig(t, nil)
	b.swept(10)
	b.write(names[0], "1")
	for _, n := range names[1:] {
		b.link(names[0], n)
	}
	b.start()
	for _, n := range names {
		b.Mark(tree.Path(n), tree.Content, false)
	}
	time.Sleep(time.Second)
	b.equal()
	b.batches()
	return b
}

func TestAllNamesOfAFileAreSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := linkedRig(t, "a", "d/b", "c")
		if !b.isClean() || b.sweepsSeen() > 0 {
			t.Error("a sweep is wanted although every name is known")
		}
		b.rewrite("d/b", "2")
		b.Mark("d/b", tree.Content, false)
		time.Sleep(time.Second)
		b.equal()
		if n := len(b.batches()); n > 3 {
			t.Errorf("%d runs for one change", n)
		}
	})
}

func TestUnknownNamesAreSwept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.both("a", "1")
		b.link("a", "unseen")
		b.slaveHas("unseen", "1")
		b.start()
		b.RequestSweep(false)
		time.Sleep(time.Second)
		b.rewrite("a", "2")
		b.Mark("a", tree.Content, false)
		time.Sleep(50 * time.Millisecond)
		if b.isClean() {
			t.Error("clean although a name of the file is not known")
		}
		time.Sleep(2 * linkSweepEvery)
		b.equal()
		if !b.isClean() || b.sweepsSeen() != 2 {
			t.Errorf("clean %v after %d sweeps", b.isClean(), b.sweepsSeen())
		}
	})
}

// A directory moves with the names in it: those are names no longer.
func TestNamesThatMovedWithTheirDirectory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := linkedRig(t, "a", "d/b")
		b.must(os.Rename(filepath.Join(b.dir, "d"), filepath.Join(b.dir, "e")))
		b.Mark("d", tree.Content|tree.Deep, true)
		b.Mark("e", tree.Content|tree.Deep, false)
		time.Sleep(time.Second)
		b.equal()
		b.rewrite("a", "2")
		b.Mark("a", tree.Content, false)
		time.Sleep(2 * linkSweepEvery)
		b.equal()
	})
}

func TestNamesOfOtherFiles(t *testing.T) {
	file := func(ino uint64, ctime int64) root.Stat { return root.Stat{Ino: ino, CtimeNs: ctime, Links: 2} }
	l := newLinks()
	look := func(p tree.Path, s root.Stat, want ...tree.Path) {
		t.Helper()
		if others, _ := l.seen(p, s); !slices.Equal(others, want) {
			t.Errorf("others of %q are %v", p, others)
		}
	}
	look("a", file(1, 10))
	if !l.lacks(file(1, 10)) {
		t.Error("one of two names is enough")
	}
	look("b", file(1, 10))
	look("a", file(1, 20), "b")
	look("b", file(1, 20))
	look("a", file(1, 5), "b") // the clock was set back
	look("b", file(1, 5))
	look("b", file(2, 5)) // replaced
	look("a", file(1, 30))
	if !l.lacks(file(1, 30)) {
		t.Error("a name that was replaced counts")
	}
}

// Two file systems below one root can give the same inode number to two files.
func TestSameInodeOnTwoFileSystemsSettles(t *testing.T) {
	l := newLinks()
	one := root.Stat{Ino: 1, CtimeNs: 10, Links: 2}
	two := root.Stat{Ino: 1, CtimeNs: 20, Links: 2}
	dirty := map[tree.Path]bool{"m/a": true, "n/b": true}
	for range 20 {
		next := map[tree.Path]bool{}
		for p := range dirty {
			stat := one
			if p == "n/b" {
				stat = two
			}
			others, _ := l.seen(p, stat)
			for _, q := range others {
				next[q] = true
			}
		}
		dirty = next
	}
	if len(dirty) > 0 {
		t.Errorf("%v are sent again and again", dirty)
	}
}

func TestLinksAreBounded(t *testing.T) {
	l := newLinks()
	for i := range maxLinks + 10 {
		l.seen(tree.Path(fmt.Sprint(i)), root.Stat{Ino: uint64(i), Links: 2})
	}
	if len(l.names) > maxLinks || len(l.inodes) > maxLinks {
		t.Errorf("%d names of %d inodes", len(l.names), len(l.inodes))
	}
}

// A sweep that a hanging slave held up for minutes must not put the next one off
// by an hour.
func TestHeldUpSweepIsNoMeasure(t *testing.T) {
	l := newLinks()
	for _, took := range []time.Duration{time.Second, 5 * time.Minute} {
		l.swept = time.Now()
		l.sweepTook(took)
		if wait := l.sweepAt().Sub(l.swept); wait != linkSweepShare*time.Second {
			t.Errorf("after a sweep of %v the next one waits for %v", took, wait)
		}
	}
}
