package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"syncagent/agent/config"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

func TestBrake(t *testing.T) {
	limits := config.Guard{Percent: 30, Min: 50}
	for _, tt := range []struct {
		name    string
		guard   config.Guard
		before  int // spent just now
		n       int
		entries int64
		fits    bool
	}{
		{"nothing known, few", limits, 0, 50, 0, true},
		{"nothing known, many", limits, 0, 51, 0, false},
		{"part of many", limits, 0, 300, 1000, true},
		{"too large a part", limits, 0, 301, 1000, false},
		{"few of few", limits, 0, 50, 60, true},
		{"the rest of a removal", limits, 250, 50, 750, true},
		{"one too many of a removal", limits, 250, 51, 750, false},
		{"off", config.Guard{Off: true}, 0, 1e6, 1, true},
		{"absolute limit", config.Guard{Percent: 30, Min: 50, Files: 10}, 0, 11, 1000, false},
		{"within the absolute limit", config.Guard{Percent: 30, Min: 50, Files: 10}, 4, 6, 1000, true},
		{"absolute limit used up", config.Guard{Percent: 30, Min: 50, Files: 10}, 5, 6, 1000, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, now := newGate(tt.guard), time.Now()
			g.spent(tt.before, now)
			if got := g.fits(tt.n, tt.entries, now); got != tt.fits {
				t.Errorf("fits is %v", got)
			}
		})
	}
}

func TestBrakeForgetsAfterItsWindow(t *testing.T) {
	g, now := newGate(config.Guard{Percent: 30, Min: 50}), time.Now()
	g.spent(50, now)
	if g.fits(1, 0, now.Add(brakeWindow)) {
		t.Error("a removal in several batches is not counted as one")
	}
	if !g.fits(50, 0, now.Add(brakeWindow+time.Millisecond)) {
		t.Error("deletes count for ever")
	}
}

func TestSpare(t *testing.T) {
	b := newRig(t, func(m *config.Module) { m.Filter = []string{"- cache/", "- *.tmp"} })
	got := spare([]rsync.Extra{
		{Path: "app/lib/x"},
		{Path: "app/lib", Dir: true},
		{Path: "app/cache/s"},
		{Path: "app/cache", Dir: true},
		{Path: "app/f"},
		{Path: "app", Dir: true},
		{Path: "b/c/d.tmp"},
		{Path: "b/c", Dir: true},
		{Path: "b", Dir: true},
		{Path: "cache"},
	}, b.module.Rules)
	want := []rsync.Extra{{Path: "app/f"}, {Path: "app/lib", Dir: true}, {Path: "app/lib/x"}, {Path: "cache"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// tree makes n files below dir on both sides.
func (b *rig) fill(dir string, n int) {
	b.Helper()
	for i := range n {
		b.both(fmt.Sprintf("%s/f%03d", dir, i), "x")
	}
}

// goes removes what is at dir, and marks it as the watcher does.
func (b *rig) goes(dir string) {
	b.Helper()
	path := filepath.Join(b.dir, dir)
	e, err := entriesOf(path)
	b.must(err)
	b.must(os.RemoveAll(path))
	for _, p := range e.below(tree.Root) {
		b.Mark(tree.Path(dir)+"/"+p, tree.Content, true)
	}
	b.Mark(tree.Path(dir), tree.Content, true)
}

func (b *rig) held() int {
	return under(b.Replica, b.gate.count)
}

func TestSmallRemovalGoesWithoutAsking(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("d", 5)
		b.swept(6)
		b.start()
		b.goes("d")
		time.Sleep(time.Second)
		b.equal()
		if sent := b.batches(); len(sent) != 1 || b.asked() != 0 {
			t.Errorf("%d runs, asked %d times", len(sent), b.asked())
		}
	})
}

func TestRemovalInBatchesIsOneRemoval(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("d", 100)
		b.swept(101)
		b.start()
		for i := range 100 {
			name := fmt.Sprintf("d/f%03d", i)
			b.remove(name)
			b.Mark(tree.Path(name), tree.Content, true)
			time.Sleep(100 * time.Millisecond)
		}
		if got := b.left(tree.Root); got < 50 {
			t.Errorf("%d of 101 entries are left on the slave", got)
		}
		if got := b.held(); got != 50 {
			t.Errorf("%d are held", got)
		}
	})
}

// The slave may have more at a path than was seen going here. What one run takes
// uncounted is little, and the next one counts.
func TestUncountedDeletesAreHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("d", 3)
		for i := range 100 {
			b.slaveHas(fmt.Sprintf("d/more%d", i), "x")
		}
		b.swept(104)
		b.start()
		b.remove("d")
		b.Mark("d", tree.Content, true) // nobody watched what was in it
		time.Sleep(10 * time.Minute)
		if got := b.left(tree.Root); got < 104-16 {
			t.Errorf("%d of 104 entries are left", got)
		}
		if b.held() == 0 {
			t.Error("nothing is held")
		}
	})
}

// A directory that was small enough to be replaced is counted again when it was
// not.
func TestReplacedDirectoryThatGrew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.DeleteGuard = config.Guard{Percent: 1} })
		b.fill("d", 3)
		b.swept(20_000)
		b.refuse("d", rsync.Partial)
		b.start()
		b.remove("d")
		b.write("d", "a file now")
		b.Mark("d", tree.Content|tree.Deep, true)
		time.Sleep(500 * time.Millisecond)
		for i := range 300 {
			b.slaveHas(fmt.Sprintf("d/more%d", i), "x")
		}
		b.accept()
		for i := range 400 { // runs that may delete, also when it is tried again
			name := fmt.Sprintf("other%d", i%10)
			b.slaveHas(name, "x")
			b.Mark(tree.Path(name), tree.Content, true)
			time.Sleep(3 * time.Millisecond)
		}
		time.Sleep(time.Hour)
		if got := b.left("d"); got != 304 {
			t.Errorf("%d of 304 entries are left", got)
		}
	})
}

func TestExcludedContentKeepsItsDirectory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.Filter = []string{"- cache/"} })
		b.fill("app/lib", 3)
		b.slaveHas("app/cache/session", "theirs")
		b.swept(5)
		b.start()
		b.goes("app")
		time.Sleep(time.Second)
		b.slaveIs(true, "app/cache/session", "app")
		b.slaveIs(false, "app/lib", "app/lib/f000")
		if !b.isClean() {
			t.Error("not clean although only excluded content is left")
		}
	})
}

func TestNothingIsDeletedWithDeleteOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.Delete = false })
		b.fill("d", 3)
		b.swept(4)
		b.start()
		b.goes("d")
		b.RequestSweep(false)
		time.Sleep(time.Minute)
		b.slaveIs(true, "d", "d/f000")
		if !b.isClean() {
			t.Error("not clean although nothing has to be done")
		}
	})
}

func TestDeletesThatCannotBeAskedAbout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.slaveHas("moved/f", "x")
		b.write("f", "1")
		b.swept(3)
		b.change(func(s *fakeSlave) { s.notAsked = &rsync.Error{Class: rsync.Incompatible, Text: "invalid file mode 00"} })
		b.start()
		b.Mark("moved", tree.Content|tree.Deep, true)
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Second)
		b.slaveIs(true, "f", "moved/f")
		if b.isClean() {
			t.Error("clean although a delete was not carried out")
		}
	})
}

func TestBackstop(t *testing.T) {
	limits := config.Guard{Percent: 30, Min: 50}
	for _, tt := range []struct {
		name    string
		guard   config.Guard
		spent   int
		counted int
		entries int64
		want    int
	}{
		{"few look alike", limits, 0, 3, 1000, 16},
		{"more are rounded up", limits, 0, 70, 1000, 128},
		{"never beyond the brake", limits, 0, 299, 1000, 300},
		{"nothing known", limits, 0, 40, 0, 50},
		{"nearly used up", limits, 45, 5, 0, 5},
		{"approved beyond the brake", limits, 0, 5000, 1000, 5000},
		{"absolute limit", config.Guard{Percent: 30, Min: 50, Files: 5}, 0, 2, 1000, 5},
		{"off", config.Guard{Off: true}, 0, 3, 1000, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, now := newGate(tt.guard), time.Now()
			g.spent(tt.spent, now)
			if got := g.backstop(tt.counted, tt.entries, now); got != tt.want {
				t.Errorf("%d instead of %d", got, tt.want)
			}
		})
	}
}

// That a directory may be in the way is known for as long as it is.
func TestReplacedDirectoryIsAskedAboutAgain(t *testing.T) {
	for name, hinder := range map[string]func(*rig){
		"slave is down":     func(b *rig) { b.breakDown(rsync.Transient) },
		"path is refused":   func(b *rig) { b.refuse("d", rsync.Partial) },
		"cannot be asked":   func(b *rig) { b.change(func(s *fakeSlave) { s.notAsked = &rsync.Error{Class: rsync.Partial} }) },
		"root is blocked":   func(b *rig) { b.root.set(&blockedError{why: "no"}) },
		"nothing hinders":   func(*rig) {},
		"changes meanwhile": func(b *rig) { b.Mark("d", tree.Content, false) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.fill("d", 100)
				b.slaveHas("other", "x")
				b.swept(102)
				b.start()
				hinder(b)
				b.remove("d")
				b.write("d", "a file now")
				b.Mark("d", tree.Content|tree.Deep, true)
				time.Sleep(time.Minute)
				b.accept()
				b.root.set(nil)
				b.Mark("other", tree.Content, true) // a run that may delete
				time.Sleep(time.Hour)
				if got := b.left("d"); got != 101 || b.held() < 101 {
					t.Errorf("%d are left, %d are held", got, b.held())
				}
				b.approveAll()
				time.Sleep(time.Minute)
				b.equal()
			})
		})
	}
}

// TestDirectoryOfWhichOneFileWasSeenGoing: the batch can be taken before the rest of
// a removal is marked. What is looked up then is the directory, and it goes in one run.
func TestDirectoryOfWhichOneFileWasSeenGoing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		for _, name := range []string{"d/a", "d/b", "other"} {
			b.both(name, "x")
		}
		b.swept(100)
		b.remove("d")
		b.Mark("d/a", tree.Content, true)
		b.start()
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		b.equal()
		if n := len(b.batches()); n != 1 {
			t.Errorf("%d runs", n)
		}
	})
}
