package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// A sweep that is wanted but cannot run must not keep the loop from ending.
func TestSweepEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.slave.delay = time.Hour
		b.start()
		b.RequestSweep(false)
		synctest.Wait()
		b.stop()
	})
}

func TestSweepWaitsForAPlaceAndEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.places <- struct{}{}
		b.places <- struct{}{}
		b.start()
		b.RequestSweep(false)
		synctest.Wait()
		b.stop()
		if b.slave.compared != 0 {
			t.Error("a sweep ran without a place")
		}
	})
}

func TestLiveDoesNotWaitForSweeps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.places <- struct{}{}
		b.places <- struct{}{}
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
		b.slave.down = &rsync.Error{Class: rsync.Transient}
		b.write("f", "1")
		b.start()
		b.RequestSweep(true)
		time.Sleep(10 * time.Second)
		if b.isClean() || !under(b.Replica, func() bool { return b.sweeps.checksum || b.sweeps.running }) {
			t.Error("a failed sweep with checksums is forgotten")
		}
		b.slave.mu.Lock()
		b.slave.down = nil
		b.slave.mu.Unlock()
		time.Sleep(time.Minute)
		b.equal()
	})
}
