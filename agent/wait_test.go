package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/root"
	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// waiting starts a wait for what was marked until now.
func (b *rig) waiting() (done func() bool, last func() status.WaitUpdate) {
	ctx, cancel := context.WithCancel(b.Context())
	b.Cleanup(cancel)
	updates := make(chan status.WaitUpdate, 10_000)
	at := time.Now()
	go b.await(ctx, at, func(u status.WaitUpdate) { updates <- u })
	var u status.WaitUpdate
	last = func() status.WaitUpdate {
		synctest.Wait()
		for len(updates) > 0 {
			u = <-updates
		}
		return u
	}
	return func() bool { return last().Done }, last
}

// A wait ends with the last change before it, not with the first quiet moment.
func TestWaitEndsWhileChangesGoOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(1)
		b.start()
		b.change(func(s *fakeSlave) { s.delay = 10 * time.Second })
		b.write("old", "1")
		b.Mark("old", tree.Content, false)
		done, _ := b.waiting()
		for range 9 {
			time.Sleep(time.Second)
			b.write("new", time.Now().String())
			b.Mark("new", tree.Content, false)
			if done() {
				t.Fatal("done before the change was sent")
			}
		}
		for range 3 {
			time.Sleep(time.Second)
			b.Mark("new", tree.Content, false)
		}
		b.slaveIs(true, "old")
		if !done() {
			t.Error("not done though only later changes are open")
		}
		b.stop()
	})
}

// Whatever keeps a change from the target keeps a wait, which says what it is.
func TestWaitNamesWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		hinder, cure func(*rig)
		says         string
	}{
		"down": {func(b *rig) { b.breakDown(rsync.Transient) }, func(b *rig) { b.accept() }, "rsync: no"},
		"path": {func(b *rig) { b.refuse("old", rsync.Partial) }, func(b *rig) { b.accept() }, `"old" is not taken`},
		"paused": {
			func(b *rig) { b.must(b.SetPaused(true)) },
			func(b *rig) { b.must(b.SetPaused(false)) }, "agent resume",
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.swept(1)
				c.hinder(b)
				b.start()
				b.write("old", "1")
				b.Mark("old", tree.Content, false)
				done, last := b.waiting()
				time.Sleep(time.Hour)
				if u := last(); u.Done || !strings.Contains(u.Waiting, c.says) {
					t.Errorf("after an hour: %+v", u)
				}
				c.cure(b)
				time.Sleep(retryLast + time.Second)
				b.equal()
				if !done() {
					t.Errorf("cured: %+v", last())
				}
			})
		})
	}
}

// What a sweep finds in place of changes that were not seen is as old as they are:
// neither the lag nor a wait forgets that between the sweep and the push.
func TestWaitAndLagGoOnFromASweepToWhatItFound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(1)
		b.start()
		b.write("unseen", "1")
		b.change(func(s *fakeSlave) { s.delay = time.Minute })
		b.Mark(tree.Root, tree.Deep, false) // an overflow
		done, last := b.waiting()
		time.Sleep(90 * time.Second)
		if s := b.snapshot("", false); done() || s.Lag != 90 || s.OldestPending != 90 {
			t.Errorf("being sent: %+v, lag %v, oldest %v", last(), s.Lag, s.OldestPending)
		}
		time.Sleep(time.Minute)
		b.equal()
		if !done() {
			t.Errorf("equal: %+v", last())
		}
	})
}

// A held delete keeps a wait.
func TestWaitSaysWhatIsHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(1)
		b.start()
		b.mu.Lock()
		b.gate.hold(map[tree.Path]int{"d": 7}, "a test", time.Now())
		b.mu.Unlock()
		_, last := b.waiting()
		if u := last(); u.Done || u.Held != 7 || !strings.Contains(u.Waiting, "agent approve") {
			t.Errorf("%+v", u)
		}
	})
}

// What was held is waited for until it is done, not until it is let go.
func TestWaitGoesOnWhenAHoldEnds(t *testing.T) {
	for name, c := range map[string]struct {
		hold, end func(*rig)
		within    time.Duration
	}{
		"approved": {
			func(b *rig) { b.goes("d") },
			func(b *rig) { b.approveAll() }, time.Minute,
		},
		"back in part": { // the rest is held again
			func(b *rig) { b.goes("d") },
			func(b *rig) { b.write("d/f001", "again"); b.Mark("d/f001", tree.Content, false) }, 0,
		},
		"found by a sweep": { // which sees a file, and tries that before it asks what is in its way
			func(b *rig) { b.goes("d"); b.write("d", "a file"); b.Mark("d", tree.Content|tree.Deep, false) },
			func(b *rig) { b.Mark("d", tree.Content, false) }, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.fill("d", 200)
				b.swept(201)
				b.start()
				c.hold(b)
				time.Sleep(time.Minute)
				done, last := b.waiting()
				if u := last(); u.Done || u.Held == 0 {
					t.Fatalf("nothing is held: %+v", u)
				}
				b.change(func(s *fakeSlave) { s.delay = 10 * time.Second })
				time.Sleep(time.Second)
				c.end(b)
				for range 25 {
					time.Sleep(time.Second)
					if u := last(); u.Done && !b.isClean() {
						t.Fatalf("still on its way: %+v", u)
					}
				}
				if time.Sleep(c.within); done() != (c.within > 0) {
					t.Errorf("in the end: %+v", last())
				}
			})
		})
	}
}

// What failed before it was held has been waited for since then.
func TestWaitGoesOnWhenAHoldOfWhatFailedEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("d", 200)
		b.swept(201)
		b.start()
		b.must(os.RemoveAll(filepath.Join(b.dir, "d")))
		b.write("d", "a file")
		b.Mark("d", tree.Content, false)
		done, last := b.waiting()
		time.Sleep(time.Minute)
		if u := last(); u.Held == 0 {
			t.Fatalf("nothing is held: %+v", u)
		}
		b.change(func(s *fakeSlave) { s.delay = 10 * time.Second })
		b.approveAll()
		for range 15 {
			time.Sleep(time.Second)
			if done() && !b.isClean() {
				t.Fatalf("still on its way: %+v", last())
			}
		}
		time.Sleep(time.Minute)
		b.equal()
		if !done() {
			t.Errorf("equal: %+v", last())
		}
	})
}

// The moment of which a target is known to be equal is the one before it stopped to
// be, however long it was idle until then.
func TestInSyncAsOfIsWhenTheTargetStoppedToBe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(1)
		b.start()
		time.Sleep(48 * time.Hour)
		b.breakDown(rsync.Transient)
		b.write("f", "1")
		at := time.Now()
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Hour)
		if s := b.snapshot("", false); !s.InSyncAsOf.Equal(at) || s.Lag != 3600 {
			t.Errorf("in sync as of %v, lag %v, the change was at %v", s.InSyncAsOf, s.Lag, at)
		}
	})
}

// Paused: nothing is sent, nothing is forgotten, also by a restart.
func TestPauseAtTheStartKeepsTheJournal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(1)
		b.start()
		synctest.Wait()
		b.must(b.SetPaused(true))
		b.write("f", "1")
		b.Mark("f", tree.Content, false)
		b.stop()
		b.renew()
		paused := make(chan error)
		go func() { paused <- b.Pause(true) }()
		synctest.Wait()
		rec, err := b.store.LoadTarget(b.module.Name, b.target.Name)
		b.must(err)
		if len(rec.Pending) == 0 || !rec.FirstSyncDone {
			t.Errorf("the journal was written over: %+v", rec)
		}
		b.start()
		b.must(<-paused)
		b.must(b.SetPaused(false))
		time.Sleep(time.Hour)
		b.equal()
	})
}

func TestPauseSendsNothingAndSurvives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(1)
		b.start()
		synctest.Wait() // its journal is read
		b.must(b.SetPaused(true))
		b.write("f", "1")
		b.Mark("f", tree.Content, false)
		b.RequestSweep(false)
		time.Sleep(time.Hour)
		if s := b.snapshot("", false); s.State != status.Paused || s.Pending != 1 || len(b.batches())+b.sweepsSeen() > 0 {
			t.Errorf("%+v, %d sweeps", s, b.sweepsSeen())
		}
		b.stop()
		b.renew()
		b.start()
		time.Sleep(time.Hour)
		b.slaveIs(false, "f")
		if s := b.snapshot("", false); s.State != status.Paused {
			t.Errorf("started again: %+v", s)
		}
		b.must(b.SetPaused(false))
		time.Sleep(time.Minute)
		b.equal()
	})
}

// A hold sends nothing, ends by itself, and neither needs nor ends the user's pause.
func TestHoldEndsByItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(1)
		b.start()
		synctest.Wait()
		b.Hold(time.Now().Add(time.Hour))
		b.write("f", "1")
		b.Mark("f", tree.Content, false)
		b.RequestSweep(false)
		time.Sleep(time.Hour - time.Second)
		if s := b.snapshot("", false); s.State != status.Paused || s.Pending != 1 || len(b.batches())+b.sweepsSeen() > 0 {
			t.Errorf("held: %+v, %d sweeps", s, b.sweepsSeen())
		}
		time.Sleep(time.Minute)
		b.equal()
		b.must(b.SetPaused(true))
		b.Hold(time.Now().Add(time.Hour))
		b.Hold(time.Now())
		if s := b.snapshot("", false); s.State != status.Paused {
			t.Errorf("the hold took the pause along: %+v", s)
		}
		b.Hold(time.Now().Add(time.Hour))
		b.must(b.SetPaused(false))
		b.write("g", "1")
		b.Mark("g", tree.Content, false)
		time.Sleep(time.Minute)
		b.equal()
		b.Hold(time.Now().Add(time.Hour))
		b.stop()
		b.renew()
		b.start()
		time.Sleep(time.Minute)
		if s := b.snapshot("", false); s.State != status.Idle {
			t.Errorf("started again: %+v", s)
		}
	})
}

// A pause that cannot be written holds, and says that it would end with the agent.
func TestPauseSaysWhenItWouldNotLast(t *testing.T) {
	b := newRig(t, nil)
	b.store.setErr(errors.New("full"))
	if err := b.SetPaused(true); err == nil || !under(b.Replica, func() bool { return b.paused }) {
		t.Errorf("pause: %v", err)
	}
}

// Retry does not wait for the pause of a path or of a target.
func TestRetryTriesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(1)
		b.start()
		b.write("d/f", "1")
		b.refuse("d/f", rsync.Partial)
		b.Mark("d/f", tree.Content, false)
		time.Sleep(20 * time.Minute)
		b.accept()
		if n := b.retryAt("e"); n != 0 {
			t.Errorf("%d paths below another directory", n)
		}
		if n := b.retryAt("d"); n != 1 {
			t.Errorf("%d paths are tried again", n)
		}
		time.Sleep(100 * time.Millisecond)
		b.equal()
	})
}

func TestWithinModule(t *testing.T) {
	for _, c := range []struct {
		name string
		want tree.Path
		ok   bool
	}{
		{"", "", true},
		{"/www", "", true},
		{"/www/a/b", "a/b", true},
		{"a//b/", "a/b", true},
		{"/wwwx/a", "", false},
		{"/", "", false},
		{"../a", "", false},
		{"/www/..a", "..a", true},
	} {
		if p, ok := withinModule("/www", c.name); p != c.want || ok != c.ok {
			t.Errorf("%q: %q, %v", c.name, p, ok)
		}
	}
}

// A wait does not end before the other names of a file that changed before it.
func TestWaitForUnknownNames(t *testing.T) {
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
		done, _ := b.waiting()
		time.Sleep(time.Second)
		if done() {
			b.equal()
			t.Error("done")
		}
	})
}

// What rolled up to the whole tree keeps its age when it fails.
func TestWaitForARolledUpRoot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.set = tree.NewSet(2)
		b.swept(10)
		b.breakDown(rsync.Transient)
		b.start()
		for _, n := range []string{"a", "b", "c", "d"} {
			b.write(n, "1")
			b.Mark(tree.Path(n), tree.Content, false)
		}
		done, last := b.waiting()
		time.Sleep(time.Minute)
		if done() {
			t.Errorf("done: %+v", last())
		}
	})
}

// What lay on a lost mount keeps its age when that is back.
func TestWaitForALostMount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.write("m/f", "1")
		b.root.set(nil, root.Difference{Path: "m"})
		b.start()
		b.Mark("m/f", tree.Content, false)
		done, _ := b.waiting()
		time.Sleep(time.Minute)
		if done() {
			t.Fatal("done while it is lost")
		}
		b.change(func(s *fakeSlave) { s.delay = 10 * time.Second })
		b.root.set(nil)
		b.Recover()
		b.Mark(tree.Root, tree.Deep, false)
		time.Sleep(time.Second)
		if done() {
			t.Error("done before it is sent")
		}
		time.Sleep(time.Minute)
		if !done() {
			t.Error("not done")
		}
	})
}
