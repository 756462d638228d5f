package agent

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/root"
	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// A sweep that is wanted but cannot run must not keep the loop from ending.
func TestSweepEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.change(func(s *fakeSlave) { s.delay = time.Hour })
		b.start()
		b.RequestSweep(false)
		synctest.Wait()
		b.stop()
	})
}

func TestSweepWaitsForAPlaceAndEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.must(b.places.Acquire(b.Context()))
		b.must(b.places.Acquire(b.Context()))
		b.start()
		b.RequestSweep(false)
		synctest.Wait()
		b.stop()
		if b.sweepsSeen() != 0 {
			t.Error("a sweep ran without a place")
		}
	})
}

func TestLiveDoesNotWaitForSweeps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.must(b.places.Acquire(b.Context()))
		b.must(b.places.Acquire(b.Context()))
		b.write("f", "1")
		b.start()
		b.RequestSweep(false)
		synctest.Wait()
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Second)
		b.equal()
		if b.isClean() {
			t.Error("clean although a sweep is wanted")
		}
	})
}

func TestSweepMarksWhatDiffers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.both("same", "1")
		b.write("new/dir/f", "2")
		b.both("old", "3")
		b.write("old", "4")
		b.slaveHas("extra/f", "5")
		b.start()
		b.RequestSweep(false)
		time.Sleep(time.Second)
		b.equal()
		if !b.isClean() {
			t.Error("not clean after all is equal")
		}
	})
}

func TestFailedSweepStaysWanted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.breakDown(rsync.Transient)
		b.write("f", "1")
		b.start()
		b.RequestSweep(true)
		time.Sleep(10 * time.Second)
		if b.isClean() || !under(b.Replica, func() bool { return b.sweeps.checksum || b.sweeps.running }) {
			t.Error("a failed sweep with checksums is forgotten")
		}
		b.accept()
		time.Sleep(time.Minute)
		b.equal()
	})
}

// While a sweep runs that was asked for since changes were missed, nothing is
// known to be in sync.
func TestRunningSweepIsNotInSync(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.both("f", "1")
		b.start()
		b.RequestSweep(false)
		time.Sleep(time.Second)
		b.change(func(s *fakeSlave) { s.delay = time.Minute })
		b.Mark(tree.Root, tree.Deep, false)
		time.Sleep(10 * time.Second)
		s := b.snapshot("", false)
		if s.State != status.Sweeping || s.Pending == 0 || s.OldestPending < 9 || time.Since(s.InSyncAsOf.Time) < 10*time.Second {
			t.Errorf("snapshot is %+v", s)
		}
		time.Sleep(time.Minute)
		if s := b.snapshot("", false); s.Pending != 0 || s.OldestPending != 0 || !s.InSyncAsOf.Equal(time.Now()) {
			t.Errorf("snapshot is %+v", s)
		}
		b.RequestSweep(false) // of which nobody says that anything was missed
		time.Sleep(10 * time.Second)
		if b.isClean() {
			t.Error("in sync while it is found out")
		}
	})
}

// A set that rolled up to its root is sent, or it would be found again by each
// sweep.
// What looks like the temporary file of the push beside the sweep may be a file
// that is gone on the master, or one that a killed push left.
func TestSweepBesideAPushIsDoneAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.slaveHas(".x.AbC123", "left over")
		b.write("f", "1")
		b.change(func(s *fakeSlave) { s.telling = time.Second })
		b.start()
		b.RequestSweep(false)
		synctest.Wait()
		b.Mark("f", tree.Content, false)
		time.Sleep(2 * time.Second)
		if b.sweepsSeen() != 1 || b.isClean() {
			t.Errorf("after %d sweeps, with a file too many on the slave, clean: %v", b.sweepsSeen(), b.isClean())
		}
		time.Sleep(time.Minute)
		b.equal()
		if !b.isClean() {
			t.Error("not clean after a sweep that ran alone")
		}
	})
}

func TestRolledUpRootIsSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.set = tree.NewSet(10)
		for i := range 40 {
			b.write(fmt.Sprintf("f%d", i), "1")
		}
		b.slaveHas("extra", "1")
		b.swept(100)
		b.start()
		b.RequestSweep(false)
		time.Sleep(time.Minute)
		b.equal()
		if b.sweepsSeen() > 3 {
			t.Errorf("%d sweeps", b.sweepsSeen())
		}
	})
}

// More extras than the dirty set holds must still come to an end.
func TestMoreExtrasThanTheSetHolds(t *testing.T) {
	for name, guard := range map[string]config.Guard{"all may go": {Off: true}, "held": {Percent: 30, Min: 5}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, func(m *config.Module) { m.DeleteGuard = guard })
				b.set = tree.NewSet(10)
				b.write("d/keep", "1")
				b.slaveHas("d/keep", "1")
				for i := range 40 {
					b.slaveHas(fmt.Sprintf("d/extra%d", i), "1")
				}
				b.swept(2)
				b.start()
				b.RequestSweep(false)
				time.Sleep(time.Minute)
				if !guard.Off {
					if b.held() != 40 {
						t.Errorf("%d are held", b.held())
					}
					b.approveAll()
					time.Sleep(time.Minute)
				}
				b.equal()
				if n := len(b.batches()); n > 20 {
					t.Errorf("%d runs", n)
				}
				if !b.isClean() {
					t.Error("not clean")
				}
			})
		})
	}
}

// What cannot be looked at is tried again ever more slowly, and hinders nothing
// else.
func TestPartialSweep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.write("f", "1")
		b.write("closed/g", "1")
		b.change(func(s *fakeSlave) { s.closed = "closed" })
		b.start()
		b.RequestSweep(false)
		time.Sleep(time.Second)
		b.slaveIs(true, "f")
		b.slaveIs(false, "closed/g")
		time.Sleep(time.Hour)
		if b.isClean() || b.sweepsSeen() > 30 {
			t.Errorf("clean %v after %d sweeps", b.isClean(), b.sweepsSeen())
		}
		b.change(func(s *fakeSlave) { s.closed = "" })
		time.Sleep(10 * time.Minute)
		b.equal()
		if !b.isClean() {
			t.Errorf("not clean: %+v", b.snapshot("", false))
		}
	})
}

func TestFirstSyncHoldsWhatTheSlaveHas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.FirstSync = "merge" })
		b.slaveHas("theirs/f", "1")
		b.slaveHas("ours/theirs", "1")
		b.write("ours/f", "1")
		b.start()
		b.RequestSweep(false)
		b.Mark("ours", tree.Content|tree.Deep, false)
		time.Sleep(time.Minute)
		b.slaveIs(true, "theirs/f", "ours/theirs", "ours/f")
		if b.held() != 3 {
			t.Errorf("%d are held", b.held())
		}
		h, _ := b.Held()
		b.slaveHas("late", "1")
		b.RequestSweep(false)
		time.Sleep(time.Minute)
		if b.Approve(h.Digest) {
			t.Error("an approval of less than is held was taken")
		}
		b.slaveIs(true, "theirs/f", "late")
		b.approveAll()
		time.Sleep(time.Minute)
		b.equal()
	})
}

// Deletes that are seen before the first sweep ended are few, or held.
func TestEventDeletesBeforeTheFirstSweep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.FirstSync = "merge" })
		b.fill("d", 60)
		b.start()
		b.goes("d")
		time.Sleep(time.Minute)
		b.slaveIs(true, "d/f001")
		if b.held() != 61 {
			t.Errorf("%d are held", b.held())
		}
	})
}

func TestLostMountIsNotSwept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.DeleteGuard = config.Guard{Off: true} })
		b.swept(10)
		b.slaveHas("m/f", "1")
		b.write("m/under", "1")
		b.root.set(nil, root.Difference{Path: "m"})
		b.start()
		b.RequestSweep(false)
		time.Sleep(time.Minute)
		b.slaveIs(true, "m/f")
		b.slaveIs(false, "m/under")
	})
}

// How long a sweep will take goes by how long the one before took.
func TestSweepTellsWhenItWillBeDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(1)
		b.both("f", "1")
		b.change(func(s *fakeSlave) { s.delay = time.Minute })
		b.start()
		b.RequestSweep(false)
		time.Sleep(10 * time.Second)
		if s := b.snapshot("", false).Sweep; !s.Running || s.ETASeconds != 0 {
			t.Errorf("the first one: %+v", s)
		}
		time.Sleep(time.Minute)
		b.RequestSweep(false)
		time.Sleep(10 * time.Second)
		if s := b.snapshot("", false).Sweep; !s.Running || s.Of != 1 || s.ETASeconds != 50 {
			t.Errorf("the second one: %+v", s)
		}
	})
}
