package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/filter"
	"syncagent/agent/tree"
)

// TestScheduledSweepIsWholeWhereNeeded: what sweep.filter excludes is left out only
// where nothing but the schedule wants the sweep.
func TestScheduledSweepIsWholeWhereNeeded(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*rig)
		whole  bool
	}{
		"the schedule alone":      {func(*rig) {}, false},
		"asked for, too":          {func(b *rig) { b.RequestSweep(false) }, true},
		"changes were missed":     {func(b *rig) { b.mu.Lock(); defer b.mu.Unlock(); b.missed() }, true},
		"the last was partial":    {func(b *rig) { b.mu.Lock(); defer b.mu.Unlock(); b.sweeps.partial = true }, true},
		"never swept":             {func(b *rig) { b.mu.Lock(); defer b.mu.Unlock(); b.sweeps.complete = false }, true},
		"first sync not done":     {func(b *rig) { b.mu.Lock(); defer b.mu.Unlock(); b.sweeps.firstDone = false }, true},
		"a run was cut off":       {func(b *rig) { b.mu.Lock(); defer b.mu.Unlock(); b.cut = true }, true},
		"links are not all known": {func(b *rig) { b.mu.Lock(); defer b.mu.Unlock(); b.linksAt = b.sweeps.began.AddDate(1, 0, 0) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, func(m *config.Module) { m.SweepRules, _ = filter.Compile([]string{"- *.php"}) })
				b.swept(10)
				b.write("a.php", "1")
				b.write("a.txt", "1")
				b.slaveHas("d/keep.php", "mine")
				b.slaveHas("d/keep.txt", "mine")
				b.slaveHas("e/gone.txt", "mine")
				c.before(b)
				b.scheduleSweep(false)
				b.start()
				for range 60 {
					time.Sleep(time.Second)
					synctest.Wait()
				}
				b.slaveIs(true, "a.txt")
				b.slaveIs(false, "e", "e/gone.txt")
				b.slaveIs(c.whole, "a.php")
				b.slaveIs(!c.whole, "d", "d/keep.php", "d/keep.txt")
			})
		})
	}
}

// TestScheduledSweepKeepsHolds: it did not see what is held, so it lets go of
// nothing and does not call the target equal.
func TestScheduledSweepKeepsHolds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.SweepRules, _ = filter.Compile([]string{"- *.php"}) })
		b.swept(10)
		b.slaveHas("held.php", "mine")
		b.mu.Lock()
		b.gate.hold(map[tree.Path]int{"held.php": 1}, "a test", time.Now())
		b.mu.Unlock()
		b.scheduleSweep(false)
		b.start()
		synctest.Wait()
		if n := under(b.Replica, b.gate.count); n != 1 || b.sweepsSeen() != 1 || b.isClean() {
			t.Errorf("held %d after %d sweeps, clean %v", n, b.sweepsSeen(), b.isClean())
		}
		b.slaveIs(true, "held.php")
	})
}

// TestScheduledSweepThatWasHeldUpIsNoMeasure: a slave that hung for an hour does not
// make the next look for links wait for hours.
func TestScheduledSweepThatWasHeldUpIsNoMeasure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.SweepRules, _ = filter.Compile([]string{"- *.php"}) })
		b.swept(10)
		b.mu.Lock()
		b.links.sweepTook(time.Second)
		b.mu.Unlock()
		b.slave.telling = time.Hour
		b.scheduleSweep(false)
		b.start()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if took := under(b.Replica, func() time.Duration { return b.links.took }); b.sweepsSeen() != 1 || took != time.Second {
			t.Errorf("after %d sweeps one takes %v as a rule", b.sweepsSeen(), took)
		}
	})
}
