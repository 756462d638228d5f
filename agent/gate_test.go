package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
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
		{Path: "app/lib/x"}, {Path: "app/lib", Dir: true}, {Path: "app/cache/s"}, {Path: "app/cache", Dir: true},
		{Path: "app/f"}, {Path: "app", Dir: true}, {Path: "b/c/d.tmp"}, {Path: "b/c", Dir: true}, {Path: "b", Dir: true}, {Path: "cache"},
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
		if sent := b.batches(); len(sent) != 1 || b.slave.asked != 0 {
			t.Errorf("%d runs, asked %d times", len(sent), b.slave.asked)
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
		if got := len(b.slave.has); got < 50 {
			t.Errorf("%d of 101 entries are left on the slave", got)
		}
		if got := b.held(); got != 50 {
			t.Errorf("%d are held", got)
		}
	})
}

// What is held must not go along with a directory above it.
func TestHeldDoesNotGoWithItsParent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("a/b", 200)
		b.both("a/c", "x")
		b.swept(203)
		b.start()
		b.goes("a/b")
		time.Sleep(time.Minute)
		if got := b.held(); got != 201 {
			t.Fatalf("%d are held", got)
		}
		b.goes("a")
		time.Sleep(10 * time.Minute)
		if got := len(b.slave.has.below("a/b")); got != 201 {
			t.Errorf("%d of 201 held entries are left", got)
		}
		if got := b.held(); got != 203 {
			t.Errorf("%d are held", got)
		}
		b.approveAll()
		time.Sleep(time.Minute)
		b.equal()
	})
}

func (b *rig) approveAll() {
	b.Helper()
	h, ok := b.Held()
	if !ok || !b.Approve(h.Digest) {
		b.Error("nothing to approve")
	}
}

// The slave may have more at a path than was seen going here.
func TestUncountedDeletesAreHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.DeleteGuard = config.Guard{Percent: 30, Min: 10, Files: 20} })
		b.fill("d", 3)
		for i := range 100 {
			b.slaveHas(fmt.Sprintf("d/more%d", i), "x")
		}
		b.swept(1000)
		b.start()
		b.goes("d")
		time.Sleep(10 * time.Minute)
		if got := len(b.slave.has); got < 100 {
			t.Errorf("%d of 104 entries are left", got)
		}
		if b.held() == 0 {
			t.Error("nothing is held")
		}
	})
}

func TestApprovedDeletesDoNotCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("d", 200)
		b.both("other", "x")
		b.swept(202)
		b.start()
		b.goes("d")
		time.Sleep(time.Minute)
		b.approveAll()
		time.Sleep(time.Second)
		b.remove("other")
		b.Mark("other", tree.Content, true)
		time.Sleep(time.Second)
		b.equal()
	})
}

// A removal that is held goes on being one.
func TestRestOfAHeldRemovalIsHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("d", 200)
		b.fill("e", 40)
		b.swept(242)
		b.start()
		b.goes("d")
		time.Sleep(time.Second)
		b.goes("e")
		time.Sleep(time.Minute)
		if got := b.held(); got != 242 {
			t.Errorf("%d are held", got)
		}
		b.approveAll()
		time.Sleep(time.Second)
		b.equal()
	})
}

func TestApprovalOutlivesAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("d", 200)
		b.swept(201)
		b.start()
		b.goes("d")
		time.Sleep(time.Minute)
		b.slave.refuse["d"] = rsync.Partial
		b.approveAll()
		time.Sleep(time.Second)
		delete(b.slave.refuse, "d")
		time.Sleep(10 * time.Minute)
		b.equal()
	})
}

func TestApprovalEndsWithItsHour(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("d", 200)
		b.swept(201)
		b.start()
		b.goes("d")
		time.Sleep(time.Minute)
		b.slave.down = &rsync.Error{Class: rsync.Transient}
		b.approveAll()
		time.Sleep(approvalLasts + time.Minute)
		b.slave.mu.Lock()
		b.slave.down = nil
		b.slave.mu.Unlock()
		time.Sleep(10 * time.Minute)
		if got := len(b.slave.has); got != 201 {
			t.Errorf("%d of 201 entries are left", got)
		}
		if got := b.held(); got != 201 {
			t.Errorf("%d are held", got)
		}
	})
}

// What was approved is what was shown, not what later stands at its path.
func TestApprovalDoesNotGrow(t *testing.T) {
	for name, back := range map[string]func(*rig){
		"more on the slave": func(b *rig) {
			for i := range 300 {
				b.slaveHas(fmt.Sprintf("d/more%d", i), "x")
			}
		},
		"again on the master": func(b *rig) {
			b.write("d/new", "x")
			b.Mark("d", tree.Content|tree.Deep, false)
			b.slave.mu.Lock()
			b.slave.down = nil
			b.slave.mu.Unlock()
			time.Sleep(time.Hour / 2)
			b.goes("d")
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.fill("d", 200)
				b.swept(201)
				b.start()
				b.goes("d")
				time.Sleep(time.Minute)
				b.slave.down = &rsync.Error{Class: rsync.Transient}
				b.approveAll()
				time.Sleep(time.Second)
				back(b)
				b.slave.mu.Lock()
				b.slave.down = nil
				b.slave.mu.Unlock()
				time.Sleep(20 * time.Minute)
				if got := len(b.slave.has); got < 200 {
					t.Errorf("%d entries are left", got)
				}
			})
		})
	}
}

func TestHeldIsReleasedWhenItIsBack(t *testing.T) {
	for name, mark := range map[string]tree.Mark{
		"itself":      {Path: "a/d", What: tree.Content | tree.Deep},
		"its parent":  {Path: "a", What: tree.Content | tree.Deep},
		"its content": {Path: "a/d/f001", What: tree.Content},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.write("a/keep", "x")
				b.fill("a/d", 200)
				b.swept(202)
				b.start()
				b.goes("a/d")
				time.Sleep(time.Minute)
				for i := range 200 {
					b.write(fmt.Sprintf("a/d/f%03d", i), "y")
				}
				b.Mark(mark.Path, mark.What, false)
				time.Sleep(time.Minute)
				if got := b.held(); got != 0 {
					t.Errorf("%d are held although they stand on the master", got)
				}
			})
		})
	}
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
		b.slave.notAsked = &rsync.Error{Class: rsync.Incompatible, Text: "invalid file mode 00"}
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
