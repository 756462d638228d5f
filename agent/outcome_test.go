package agent

import (
	"errors"
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

func (b *rig) refuse(p tree.Path, class rsync.Class) {
	b.slave.mu.Lock()
	defer b.slave.mu.Unlock()
	b.slave.refuse[p] = class
}

func (b *rig) accept() {
	b.slave.mu.Lock()
	defer b.slave.mu.Unlock()
	clear(b.slave.refuse)
	b.slave.down, b.slave.notAsked = nil, nil
}

func (b *rig) breakDown(class rsync.Class) {
	b.slave.mu.Lock()
	defer b.slave.mu.Unlock()
	b.slave.down = &rsync.Error{Class: class, Text: "no"}
}

func (b *rig) retrying(p tree.Path) bool {
	return under(b.Replica, func() bool { return b.retries[p] != nil })
}

func TestFailedPathStaysDirtyTheRestIsConfirmed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.write("good", "1")
		b.write("bad", "2")
		b.refuse("bad", rsync.Partial)
		b.start()
		began := time.Now()
		b.Mark("good", tree.Content, false)
		b.Mark("bad", tree.Content, false)
		time.Sleep(100 * time.Millisecond)
		b.slaveIs(true, "good")
		s := b.snapshot("", false)
		if s.Failing != 1 || s.Pending != 1 || !s.InSyncAsOf.Equal(began) || s.FailingPaths[0].Name != "bad" || s.LastError == "" {
			t.Errorf("snapshot is %+v", s)
		}
		b.batches()
		time.Sleep(20 * time.Minute)
		n := 0
		for _, batch := range b.batches() {
			if len(batch.Send) != 1 || batch.Send[0] != "bad" {
				t.Errorf("sent %+v", batch)
			}
			n++
		}
		if n < 5 || n > 20 {
			t.Errorf("%d tries in twenty minutes", n)
		}
		b.accept()
		time.Sleep(5 * time.Minute)
		b.equal()
		if s := b.snapshot("", false); s.Failing != 0 || s.Pending != 0 || s.InSyncAsOf.IsZero() {
			t.Errorf("snapshot is %+v", s)
		}
	})
}

func TestNewChangeDoesNotWaitForItsRetry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.write("f", "1")
		b.refuse("f", rsync.Partial)
		b.start()
		b.Mark("f", tree.Content, false)
		time.Sleep(10 * time.Minute)
		b.accept()
		b.write("f", "2")
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Second)
		b.equal()
		if b.retrying("f") {
			t.Error("still retried after it was taken")
		}
	})
}

// Beyond the cap a failing path stands as its directory, and is not forgotten.
func TestFailuresBeyondTheCapAreKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.write("deep/dir/f", "1")
		b.write("top", "1")
		b.refuse("deep/dir/f", rsync.Partial)
		b.refuse("top", rsync.Partial)
		b.crowd(maxRetries)
		b.start()
		b.Mark("deep/dir/f", tree.Content, false)
		b.Mark("top", tree.Content, false)
		time.Sleep(time.Hour)
		if got := under(b.Replica, func() int { return len(b.retries) }); got > maxRetries+2 {
			t.Errorf("%d paths are retried", got)
		}
		b.accept()
		time.Sleep(10 * time.Minute)
		b.slaveIs(true, "deep/dir/f", "top")
		if got := under(b.Replica, func() int { return len(b.retries) }); got != maxRetries {
			t.Errorf("%d paths are retried after the slave took all", got)
		}
	})
}

// crowd makes n paths fail until far in the future.
func (b *rig) crowd(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range n {
		p := tree.Path(fmt.Sprintf("crowd/dir%d/f", i))
		b.retries[p] = &retry{mark: tree.Mark{Path: p, What: tree.Content}, class: rsync.Partial, next: time.Now().Add(1e6 * time.Hour)}
	}
}

// Whatever becomes of a path that fails, it is not retried for ever.
func TestRetriesEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*config.Module)
		then   func(*rig)
	}{
		"removed, deletes are off": {
			func(m *config.Module) { m.Delete = false },
			func(b *rig) { b.remove("a/f"); b.Mark("a/f", tree.Content, true) },
		},
		"its directory became a file": {nil, func(b *rig) {
			b.remove("a")
			b.write("a", "file")
			b.Mark("a", tree.Content, false)
			b.Mark("a/f", tree.Content, true)
		}},
		"its directory went": {nil, func(b *rig) { b.remove("a"); b.Mark("a", tree.Content, true) }},
		"became an excluded directory": {
			func(m *config.Module) { m.Filter = []string{"- f/"} },
			func(b *rig) { b.remove("a/f"); b.write("a/f/x", "1"); b.Mark("a/f", tree.Content, false) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, tt.change)
				b.swept(10)
				b.write("a/f", "1")
				b.refuse("a/f", rsync.Partial)
				b.start()
				b.Mark("a/f", tree.Content, false)
				time.Sleep(time.Minute)
				b.accept()
				tt.then(b)
				time.Sleep(time.Hour)
				if b.retrying("a/f") || !b.isClean() {
					t.Errorf("still failing: %+v", b.snapshot("", false).FailingPaths)
				}
			})
		})
	}
}

func TestPathsOfALostMountComeBackOneByOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.both("m/f", "1")
		b.both("n/f", "1")
		b.root.set(nil, root.Difference{Path: "m"}, root.Difference{Path: "n"})
		b.write("m/f", "2")
		b.start()
		b.Mark("m/f", tree.Content, false)
		time.Sleep(time.Minute)
		if s := b.snapshot("", false); s.OldestPending < 59 || s.Pending != 1 {
			t.Errorf("snapshot is %+v", s)
		}
		b.root.set(nil, root.Difference{Path: "n"})
		time.Sleep(time.Minute)
		b.equal()
		if b.retrying("m/f") {
			t.Error("still waits for its mount")
		}
	})
}

// The directory that held a lost mount point must not go either.
func TestNothingGoesAroundALostMount(t *testing.T) {
	for name, gone := range map[string]tree.Path{"the mount point": "a/m", "the one above": "a", "below": "a/m/f"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, func(m *config.Module) { m.DeleteGuard = config.Guard{Off: true} })
				b.swept(10)
				b.both("a/m/f", "1")
				b.both("a/g", "1")
				b.both("other", "1")
				b.root.set(nil, root.Difference{Path: "a/m"})
				b.remove(string(gone))
				b.remove("other")
				b.start()
				b.Mark(gone, tree.Content, true)
				b.Mark("other", tree.Content, true)
				b.RequestSweep(false)
				time.Sleep(time.Hour)
				b.slaveIs(true, "a", "a/m", "a/m/f")
				b.slaveIs(false, "other")
				if b.isClean() {
					t.Error("clean although a mount is lost")
				}
			})
		})
	}
}

// Where there is no brake, nobody has to know how much goes with a directory.
func TestWithoutABrakeNobodyCounts(t *testing.T) {
	for name, guard := range map[string]config.Guard{"off": {Off: true}, "on": {Percent: 100, Min: 50}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, func(m *config.Module) { m.DeleteGuard = guard })
				b.swept(10)
				b.both("a/b/f", "1")
				b.remove("a")
				b.start()
				b.Mark("a", tree.Content|tree.Deep, true)
				time.Sleep(time.Minute)
				b.slaveIs(false, "a", "a/b", "a/b/f")
				if asked := b.slave.asked > 0; asked == guard.Off {
					t.Errorf("the slave was asked: %v", asked)
				}
			})
		})
	}
}

// What a deep mark finds below a lost mount is nothing that is extra.
func TestDeepMarkAboveALostMount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.DeleteGuard = config.Guard{Off: true} })
		b.swept(10)
		b.both("a/m/f", "1")
		b.remove("a/m/f")
		b.root.set(nil, root.Difference{Path: "a/m"})
		b.start()
		b.Mark("a", tree.Content|tree.Deep, false)
		time.Sleep(time.Minute)
		b.slaveIs(true, "a/m/f")
		if n := under(b.Replica, func() int { return len(b.retries) + b.set.Len() }); n > 0 {
			t.Errorf("%d marks wait for the mount", n)
		}
	})
}

func TestOutagePutsEverythingBack(t *testing.T) {
	for _, class := range []rsync.Class{rsync.Transient, rsync.Auth, rsync.DiskFull, rsync.Incompatible} {
		t.Run(class.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.swept(300)
				b.write("f", "1")
				b.write("d/g", "2")
				b.slaveHas("gone", "3")
				b.breakDown(class)
				b.start()
				b.Mark("f", tree.Content, false)
				b.Mark("d", tree.Content|tree.Deep, false)
				b.Mark("gone", tree.Content, true)
				time.Sleep(time.Hour)
				want := status.Backoff
				if class.Blocked() {
					want = status.Blocked
				}
				s := b.snapshot("", false)
				if s.State != want || s.Pending != 3 || s.Class != class.String() || s.NextTry.IsZero() || s.OldestPending < 3599 {
					t.Errorf("snapshot is %+v", s)
				}
				if n := len(b.batches()); n < 10 || n > 90 {
					t.Errorf("%d tries in an hour", n)
				}
				b.accept()
				time.Sleep(5*time.Minute + time.Second)
				b.equal()
				if s := b.snapshot("", false); s.State != status.Idle || s.Pending != 0 || s.OldestPending != 0 || s.LastError != "" {
					t.Errorf("snapshot is %+v", s)
				}
			})
		})
	}
}

// While the next try is due or under way the target has not recovered.
func TestOutageIsNotIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		now := time.Now()
		b.outage = outage{err: errors.New("no route to host"), class: rsync.Transient, notBefore: now.Add(-time.Second)}
		if s := b.snapshot("", false); s.State != status.Backoff {
			t.Errorf("the state is %s", s.State)
		}
	})
}

// A batch that asks nothing of the slave says nothing about it.
// A daemon that is killed leaves the temporary file of what it was receiving.
func TestCutOffRunIsSweptAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.write("f", "1")
		b.breakDown(rsync.Transient)
		b.start()
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Minute)
		b.slaveHas(".f.AbC123", "half of it")
		b.accept()
		time.Sleep(10 * time.Minute)
		b.equal()
		if !b.isClean() {
			t.Error("not clean after the sweep")
		}
	})
}

func TestOutageDoesNotEndByItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.Delete = false })
		b.swept(10)
		b.write("f", "1")
		b.breakDown(rsync.Auth)
		b.start()
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Minute)
		b.remove("f")
		b.Mark("f", tree.Content, true)
		time.Sleep(time.Hour)
		if s := b.snapshot("", false); s.State != status.Blocked {
			t.Errorf("state is %s", s.State)
		}
		b.accept()
		time.Sleep(10 * time.Minute)
		if s := b.snapshot("", false); s.State != status.Idle || !b.isClean() {
			t.Errorf("snapshot is %+v", s)
		}
	})
}

func TestEndInTheMiddleOfAPushLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.change(func(s *fakeSlave) { s.delay = time.Hour })
		b.write("f", "1")
		b.write("g", "1")
		b.start()
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Second)
		b.Mark("g", tree.Content, false)
		synctest.Wait()
		b.stop()
		rec := b.store.targets["data@s1"]
		if len(rec.Pending) != 2 {
			t.Errorf("pending %v", rec.Pending)
		}
		b.change(func(s *fakeSlave) { s.delay = 0 })
		b.renew()
		b.start()
		time.Sleep(time.Second)
		b.equal()
	})
}

func TestUnreadablePathFailsAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		long := string(make([]byte, 0, 300))
		for range 300 {
			long += "x"
		}
		b.write("f", "1")
		b.start()
		b.Mark(tree.Path(long), tree.Content, false) // ENAMETOOLONG
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Second)
		b.equal()
		if !b.retrying(tree.Path(long)) {
			t.Error("the unreadable path is forgotten")
		}
	})
}
