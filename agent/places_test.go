package agent

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// Slaves that come back together, or that one schedule names, do not all sweep at
// once; the first sweep after a start and one that a user asks for do not wait.
func TestSweepsOfManyAreSpread(t *testing.T) {
	const many, window = 50, 50 * time.Second
	for name, c := range map[string]struct {
		due    func(*rig) // makes a sweep due now
		spread bool
	}{
		"schedule": {func(b *rig) { b.scheduleSweep(false) }, true},
		"outage, found by a sweep": {func(b *rig) {
			b.breakDown(rsync.Transient)
			b.Mark(tree.Root, tree.Deep, false)
			time.Sleep(time.Hour)
			b.accept()
			b.mu.Lock()
			b.outage.notBefore = time.Now() // as if they had all been tried at the same time
			b.mu.Unlock()
			poke(b.sweepUp)
		}, true},
		"outage, found by a change": {func(b *rig) {
			b.breakDown(rsync.Transient)
			b.write("f", "1")
			b.Mark("f", tree.Content, false)
			b.Mark(tree.Root, tree.Deep, false)
			time.Sleep(time.Hour)
			b.accept()
			b.mu.Lock()
			b.outage.notBefore = time.Now()
			b.mu.Unlock()
			poke(b.wake)
		}, true},
		"start":                        {func(b *rig) { b.watched(true) }, false},
		"a user's":                     {func(b *rig) { b.RequestSweep(false) }, false},
		"scheduled, and then a user's": {func(b *rig) { b.scheduleSweep(false); b.RequestSweep(false) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			began := map[time.Duration]int{}
			for i := range many {
				bubble(t, func(t *testing.T) {
					b := newRig(t, nil)
					b.spread = window
					b.target.Name = fmt.Sprintf("s%d", i)
					b.renew()
					b.swept(1)
					b.start()
					synctest.Wait()
					n := b.sweepsSeen()
					c.due(b)
					due := time.Now()
					for b.sweepsSeen() == n {
						time.Sleep(100 * time.Millisecond)
						synctest.Wait()
						if time.Since(due) > 2*window {
							t.Fatal("no sweep")
						}
					}
					began[time.Since(due).Truncate(window/5)]++
					b.stop()
				})
			}
			for at, n := range began {
				if at >= window+time.Second || c.spread == (n > many/2) {
					t.Errorf("%d of %d began in the fifth at %v: %v", n, many, at, began)
				}
			}
		})
	}
}

// A large file is a live change: it waits for no sweep, however many are wanted.
func TestLargeFileDoesNotWaitForSweeps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := config.NewMaster()
		c.Workers, c.Sweep.Concurrency = 1, 9
		b := newRig(t, func(m *config.Module) { m.Lanes.Large = 10 })
		b.slots, b.places = rsync.NewSlots(workers(c)), rsync.NewSlots(sweepsAtOnce(c))
		b.renew()
		b.swept(1)
		other := newRig(t, nil)
		other.slots, other.places = b.slots, b.places
		other.renew()
		for _, o := range []*rig{b, other} {
			o.change(func(s *fakeSlave) { s.telling = time.Hour })
			o.start()
			o.RequestSweep(false)
		}
		synctest.Wait()
		if n := b.sweepsSeen() + other.sweepsSeen(); n != 1 {
			t.Errorf("%d sweeps run", n)
		}
		b.write("large", "0123456789abcdef")
		b.Mark("large", tree.Content, false)
		time.Sleep(10 * time.Second)
		b.equal()
		time.Sleep(3 * time.Hour)
		if n := b.sweepsSeen() + other.sweepsSeen(); n < 2 {
			t.Errorf("%d sweeps were done", n)
		}
	})
}

// What takes the slots takes them from sweeps, too.
func TestSweepTakesASlot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		for range 3 {
			b.must(b.slots.Acquire(b.Context()))
		}
		b.start()
		b.RequestSweep(false)
		time.Sleep(time.Hour)
		if b.sweepsSeen() > 0 {
			t.Error("a sweep ran without a slot")
		}
		b.slots.Release()
		time.Sleep(time.Second)
		if b.sweepsSeen() != 1 {
			t.Error("no sweep with a slot")
		}
		b.must(b.slots.Acquire(b.Context()))
		b.must(b.places.Acquire(b.Context()))
		b.must(b.places.Acquire(b.Context())) // both were given back
	})
}

// A sweep tells how far it is, by what it has seen of what the last one did.
func TestSweepTellsItsProgress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(400)
		b.change(func(s *fakeSlave) { s.halves, s.first = 100*time.Second, 100 })
		b.start()
		b.RequestSweep(false)
		shown := func() status.Sweep { return b.snapshot("", false).Sweep }
		time.Sleep(50 * time.Second)
		if s := shown(); s != (status.Sweep{Running: true, Of: 400}) {
			t.Errorf("at first: %+v", s)
		}
		time.Sleep(100 * time.Second)
		if s := shown(); s != (status.Sweep{Running: true, Entries: 100, Of: 400, ETASeconds: 450}) {
			t.Errorf("after 100 of 400 entries in 150 s: %+v", s)
		}
		time.Sleep(time.Hour)
		if s := shown(); s != (status.Sweep{}) {
			t.Errorf("at the end: %+v", s)
		}
		b.swept(400)
		b.RequestSweep(false)
		time.Sleep(50 * time.Second)
		if s := shown(); s != (status.Sweep{Running: true, Of: 400, ETASeconds: 150}) {
			t.Errorf("by how long the last one took: %+v", s)
		}
	})
}

// A reload applies how many may run at once, and restarts nothing for it.
func TestReloadAppliesWorkersAndConcurrency(t *testing.T) {
	free := func(s *rsync.Slots) (n int) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		for s.Acquire(ctx) == nil {
			n++
		}
		for range n {
			s.Release()
		}
		return n
	}
	bubble(t, func(t *testing.T) {
		with := func(workers, concurrency int) *config.Master {
			c := config.NewMaster()
			c.Workers, c.Sweep.Concurrency = workers, concurrency
			return c
		}
		m := NewMaster(MasterConfig{Config: with(4, 2), Log: slog.New(slog.DiscardHandler)})
		m.slots, m.places = rsync.NewSlots(workers(m.config)), rsync.NewSlots(sweepsAtOnce(m.config))
		close(m.started)
		for _, c := range []struct{ workers, concurrency, slots, sweeps int }{{4, 2, 4, 2}, {8, 5, 8, 5}, {2, 5, 2, 1}, {1, 1, 2, 1}} {
			next := with(c.workers, c.concurrency)
			if err := m.Reload(t.Context(), next); err != nil {
				t.Fatal(err)
			}
			if slots, sweeps := free(m.slots), free(m.places); slots != c.slots || sweeps != c.sweeps {
				t.Errorf("workers %d, sweep.concurrency %d: %d slots, %d sweeps", c.workers, c.concurrency, slots, sweeps)
			}
		}
	})
	a := config.Module{Settings: config.NewMaster().Settings}
	b := a
	b.Sweep.Concurrency++
	if !sameSource(a, b) {
		t.Error("another sweep.concurrency restarts a module")
	}
}

// Who waits for a sync is told how far its sweep is while nothing else changes.
func TestSyncIsToldOfProgress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(400)
		b.change(func(s *fakeSlave) { s.halves, s.first = 100*time.Second, 100 })
		b.start()
		seen := map[status.Sweep]bool{}
		b.syncNow(t.Context(), false, func(u status.SyncUpdate) { seen[u.Sweep] = true })
		if !seen[status.Sweep{Running: true, Entries: 100, Of: 400, ETASeconds: 450}] {
			t.Errorf("%+v", seen)
		}
	})
}
