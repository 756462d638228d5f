package agent

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/filter"
	"syncagent/agent/journal"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// A hook for all targets waits for one on which the file rests, or is to be sent
// once more.
func TestHooksWaitForWhatRests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.start()
		b.appendFor(2*time.Minute, 300*time.Millisecond)
		if !b.lacks("log") || b.lacks("other") {
			t.Errorf("while it rests: lacks log %v, other %v", b.lacks("log"), b.lacks("other"))
		}
		time.Sleep(5 * time.Minute)
		if b.lacks("log") {
			t.Error("lacks it though it was sent")
		}
		under(b.Replica, func() bool { b.unsure.set.Mark("cut", tree.Content); return true })
		if !b.lacks("cut") {
			t.Error("has what is to be sent once more")
		}
	})
}

// A disk that is too full for a large file says nothing of the target's health.
func TestFullBulkRunIsNoSuccess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newLanes(t)
		b.refuse("a/big", rsync.DiskFull)
		b.put("a/big", "large")
		time.Sleep(2 * time.Minute)
		if s := b.snapshot("", false); s.Failing != 1 || !under(b.Replica, func() time.Time { return b.counts.lastSuccess }).IsZero() {
			t.Errorf("%d failing, last success %v", s.Failing, b.counts.lastSuccess)
		}
	})
}

// cutRun has the slave cut the run of what is marked now, and heals it.
func (b *rig) cutRun() {
	b.change(func(s *fakeSlave) {
		s.cut, s.down = true, &rsync.Error{Class: rsync.Transient, Code: -1, Text: "killed"}
	})
	time.Sleep(time.Second)
	b.change(func(s *fakeSlave) { s.cut, s.down = false, nil })
}

// What is sent once more since its run was cut off is what a wait waits for.
func TestWaitCoversWhatIsSentOnceMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.answersLines(greeting("p1", "b1", false))
		b.swept(1)
		b.start()
		b.put("f", "new")
		b.cutRun()
		time.Sleep(againOurs / 2)
		done, last := b.waiting()
		b.change(func(s *fakeSlave) { s.delay = time.Minute })
		time.Sleep(againOurs)
		if done() {
			t.Errorf("done while it is sent once more: %+v", last())
		}
		time.Sleep(2 * time.Minute)
		if !done() {
			t.Errorf("not done: %+v", last())
		}
	})
}

// A run of everything that was cut off is followed by a look at everything.
func TestCutOffRunOfTheRoot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.answersLines(greeting("p1", "b1", false))
		b.swept(1)
		b.set = tree.NewSet(2)
		for _, name := range []string{"a", "b", "c", "d"} {
			b.put(name, "new")
		}
		b.start()
		b.cutRun()
		time.Sleep(5 * time.Second)
		b.equal()
		if b.isClean() {
			t.Error("in sync while the old session may live")
		}
		b.change(func(s *fakeSlave) { s.has["c"] = "old" })
		time.Sleep(2 * againOurs)
		b.equal()
		if !b.isClean() {
			t.Error("not in sync afterwards")
		}
	})
}

// A pause is the user's word about a target's name; it outlives what the journal
// knows of the place.
func TestPauseOutlivesAnotherPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.start()
		synctest.Wait()
		b.must(b.SetPaused(true))
		b.stop()
		b.target.Host = "elsewhere"
		b.renew()
		b.start()
		b.watched(true)
		b.put("f", "1")
		time.Sleep(time.Hour)
		b.slaveIs(false, "f")
		b.must(b.SetPaused(false))
		time.Sleep(time.Hour)
		b.equal()
	})
}

// What was seen or approved on one disk deletes nothing on another.
func TestAnotherDiskForgetsWhatWasOnTheFirst(t *testing.T) {
	b := newRig(t, nil)
	b.recognise(instance{"p1", "b1"})
	b.surplus["x"] = true
	b.gate.hold(map[tree.Path]int{"y": 3}, "too many", time.Now())
	b.gate.approve(time.Now())
	b.recognise(instance{"p1", "b2"})
	if len(b.surplus) != 1 || len(b.gate.approved) != 1 {
		t.Error("a new start of the same daemon forgot")
	}
	b.recognise(instance{"p2", "b2"})
	if len(b.surplus)+len(b.gate.approved) != 0 {
		t.Errorf("remembers %v and %v", b.surplus, b.gate.approved)
	}
}

// With expressions a tree goes path by path, and its large files still go in the
// other lane alone.
func TestExpressionsLeaveLargeFilesToTheirLane(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) {
			m.Lanes.Large, m.DeleteGuard.Off = 4, true
			m.Rules, _ = (*filter.Rules)(nil).WithRegexps([]string{".*/no"})
		})
		b.slave.carrying = time.Minute
		b.swept(10)
		b.start()
		for _, name := range []string{"d/big", "d/small", "d/no"} {
			b.write(name, map[bool]string{true: "large", false: "1"}[name == "d/big"])
		}
		b.Mark("d", tree.Deep, false)
		time.Sleep(time.Second)
		b.slaveIs(true, "d/small")
		b.slaveIs(false, "d/big")
		time.Sleep(10 * time.Minute)
		b.slaveIs(true, "d/big")
		b.slaveIs(false, "d/no")
		n := 0
		for _, s := range b.batches() {
			if slices.Contains(s.Send, "d/big") {
				n++
			}
		}
		if n != 1 || b.met() != "" {
			t.Errorf("the large file was sent %d times; %s", n, b.met())
		}
		under(b.Replica, func() bool { b.bulk.set.Mark("d", tree.Deep); return true }) // as marks of very many become
		poke(b.bulk.wake)
		time.Sleep(10 * time.Minute)
		for _, s := range b.batches() {
			if s.Bulk && !slices.Equal(s.Send, []tree.Path{"d/big"}) {
				t.Errorf("the bulk lane sent %+v", s)
			}
		}
	})
}

// After a kill, what was marked last is unknown: that is found by a sweep, also where
// none is wanted at a start.
func TestKillIsFollowedByASweep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.Sweep.AtStart = false })
		b.store.targets["data@s1"] = journal.Target{Remote: remoteName(b.target), FirstSyncDone: true}
		for _, killed := range []bool{false, true} {
			b.start()
			synctest.Wait()
			b.watched(false)
			before := b.sweepsSeen()
			if killed {
				b.store.setErr(errKilled)
				b.write("f", "lost")
				b.Mark("f", tree.Content, false)
				b.change(func(s *fakeSlave) { s.down = &rsync.Error{Class: rsync.Transient} })
				time.Sleep(time.Minute)
			}
			b.stop()
			b.store.setErr(nil)
			b.change(func(s *fakeSlave) { s.down = nil })
			b.renew()
			b.start()
			synctest.Wait()
			b.watched(false)
			time.Sleep(time.Minute)
			if swept := b.sweepsSeen() > before; swept != killed {
				t.Errorf("killed: %v, swept: %v", killed, swept)
			}
			b.equal()
			b.stop()
			b.renew()
		}
	})
}
