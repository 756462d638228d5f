package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
	"syncagent/rsyncd"
)

// greeting is what a receiver says that serves the rig's module.
func greeting(place, boot string, out bool) string {
	var n rsyncd.Notice
	return string(rsyncd.Notice{Links: "kept", Owners: "kept", Boot: boot, Modules: map[string]rsyncd.ModuleNotice{
		n.Key("data"): {Place: place, Out: out},
	}}.Render())
}

// TestAnotherSlaveIsNotInSync: another directory behind the module is another
// target, also when nothing is sent meanwhile and over a restart; what it has of its
// own is held.
func TestAnotherSlaveIsNotInSync(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.FirstSync = "merge" })
		b.answersLines(greeting("p1", "b1", false))
		b.both("f", "same")
		b.start()
		b.watched(true)
		synctest.Wait()
		if !b.isClean() {
			t.Fatal("not in sync to begin with")
		}
		swept := b.sweepsSeen()
		time.Sleep(2 * greetEvery)
		if n := b.sweepsSeen(); n != swept {
			t.Fatalf("%d sweeps of the same slave", n-swept)
		}

		b.change(func(s *fakeSlave) { s.has = entries{"theirs": "precious"} })
		b.answersLines(greeting("p2", "b1", false))
		time.Sleep(2 * greetEvery)
		b.slaveIs(true, "f", "theirs")
		if held, ok := b.Held(); !ok || held.Count != 1 {
			t.Errorf("held: %+v", held)
		}

		b.stop()
		b.answersLines(greeting("p3", "b1", false))
		b.change(func(s *fakeSlave) { s.has = entries{} })
		b.renew()
		b.start()
		b.watched(false)
		b.Mark("f", tree.Attrs, false) // anything that reaches the slave
		time.Sleep(time.Minute)
		b.slaveIs(true, "f")
	})
}

// TestSlaveStartedAnewIsCompared: what it confirmed last may not have reached its
// disk; but it is the same target.
func TestSlaveStartedAnewIsCompared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.FirstSync = "merge" })
		b.answersLines(greeting("p1", "b1", false))
		b.both("f", "same")
		b.start()
		b.watched(true)
		synctest.Wait()
		b.change(func(s *fakeSlave) { s.has["f"] = "torn"; s.has["left"] = "over" })
		b.answersLines(greeting("p1", "b2", false))
		time.Sleep(2 * greetEvery)
		b.equal()
	})
}

// TestForeignDaemonIsTakenAsItIs: nothing is known of it, and nothing is compared
// because of that.
func TestForeignDaemonIsTakenAsItIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.both("f", "same")
		b.start()
		b.watched(true)
		synctest.Wait()
		swept := b.sweepsSeen()
		time.Sleep(3 * greetEvery)
		if n := b.sweepsSeen(); n != swept || !b.isClean() {
			t.Errorf("%d sweeps more, clean: %v", n-swept, b.isClean())
		}
	})
}

// TestModuleOutOfServiceIsSeen: also by a master that has nothing to send.
func TestModuleOutOfServiceIsSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.answersLines(greeting("p1", "b1", false))
		b.both("f", "same")
		b.start()
		b.watched(true)
		synctest.Wait()
		b.answersLines(greeting("p1", "b1", true))
		time.Sleep(greetEvery + time.Second)
		if s := b.snapshot("", false); s.State != status.Blocked || s.Class != rsync.Refused.String() {
			t.Errorf("%s %s %s", s.State, s.Class, s.LastError)
		}
		b.answersLines(greeting("p1", "b1", false))
		time.Sleep(2 * blockedLast)
		if !b.isClean() {
			t.Errorf("not in sync again: %+v", b.snapshot("", false))
		}
	})
}

// TestCutOffRunIsSentOnceMore: what is left of it on the slave may put old content
// over what the next run sent, for longer on a daemon that is not ours.
func TestCutOffRunIsSentOnceMore(t *testing.T) {
	for name, tt := range map[string]struct {
		motd string
		wait time.Duration
	}{
		"ours": {greeting("p1", "b1", false), againOurs}, "foreign": {"welcome", againForeign},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.answersLines(tt.motd)
				b.start()
				b.watched(true)
				synctest.Wait()
				b.write("f", "new")
				b.change(func(s *fakeSlave) {
					s.cut, s.down = true, &rsync.Error{Class: rsync.Transient, Code: -1, Text: "killed"}
				})
				b.Mark("f", tree.Content, false)
				time.Sleep(100 * time.Millisecond)
				b.change(func(s *fakeSlave) { s.cut, s.down = false, nil })
				b.batches()
				time.Sleep(cutRest - 200*time.Millisecond)
				if n := len(b.batches()); n != 0 {
					t.Errorf("%d tries before the slave had time to end the session", n)
				}
				time.Sleep(2 * time.Second)
				b.equal()
				if b.isClean() {
					t.Error("in sync while the old session may live")
				}
				b.change(func(s *fakeSlave) { s.has["f"] = "old" }) // it does what it can
				time.Sleep(tt.wait)
				b.equal()
				if !b.isClean() {
					t.Error("not in sync afterwards")
				}
			})
		})
	}
}

// What a sweep saw on one slave alone and could not be removed there is not removed
// from another slave that took its place.
func TestExtrasOfAnotherSlaveAreHeld(t *testing.T) {
	for name, restarted := range map[string]bool{"": false, "restarted": true} {
		t.Run(name, func(t *testing.T) { bubble(t, func(t *testing.T) { extrasOfAnother(t, restarted) }) })
	}
}

func extrasOfAnother(t *testing.T, restarted bool) {
	b := newRig(t, func(m *config.Module) { m.FirstSync = "merge" })
	b.answersLines(greeting("p1", "b1", false))
	b.both("f", "same")
	b.start()
	b.watched(true)
	synctest.Wait()
	b.slaveHas("own/file", "x")
	b.slaveHas("refused", "x")
	b.change(func(s *fakeSlave) { s.refuse["refused"] = rsync.Partial })
	b.slow(time.Second)
	b.RequestSweep(false)
	time.Sleep(1100 * time.Millisecond) // it is about to delete
	b.breakDown(rsync.Transient)
	time.Sleep(3 * time.Second)
	b.change(func(s *fakeSlave) {
		s.has = entries{"own": isDir, "own/file": "precious", "refused": "precious", "f": "same"}
	})
	b.answersLines(greeting("p2", "b1", false))
	if restarted {
		b.stop()
		b.renew()
		b.start()
		b.watched(true)
	}
	b.slow(0)
	b.accept()
	time.Sleep(2 * greetEvery)
	b.slaveIs(true, "own/file", "refused")
	h, ok := b.Held()
	if !ok || h.Count != 3 {
		t.Errorf("held: %+v", h)
	}
	b.Approve(h.Digest)
	time.Sleep(time.Minute)
	b.equal()
	if !b.isClean() {
		t.Error("not in sync after the approval")
	}
}

// An approval of what one slave had is none for another one.
func TestApprovalIsNotForAnotherSlave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) {
			m.FirstSync = "merge"
			m.DeleteGuard = config.Guard{Percent: 1, Min: 0}
		})
		b.answersLines(greeting("p1", "b1", false))
		b.both("f", "same")
		b.start()
		b.watched(true)
		synctest.Wait()
		b.slaveHas("own", "x")
		b.RequestSweep(false)
		time.Sleep(time.Second)
		h, ok := b.Held()
		if !ok {
			t.Fatal("nothing is held")
		}
		b.change(func(s *fakeSlave) {
			s.has = entries{"own": "precious", "theirs": "precious", "f": "same"}
			s.delay = 5 * time.Second
		})
		b.answersLines(greeting("p2", "b1", false))
		time.Sleep(greetEvery + time.Second)
		if b.Approve(h.Digest) {
			t.Error("an approval of what another slave had was taken")
		}
		time.Sleep(time.Minute)
		b.slaveIs(true, "own", "theirs")
	})
}
