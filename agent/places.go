package agent

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/proc"
	"syncagent/agent/status"
)

// A sweep takes a place among the sweeps and a slot among the workers, in this order.
// Whoever has a slot waits for nobody who wants one, so the two cannot wait for each
// other. There is always one place less than slots: a large file, which is a live
// change, never waits for sweeps alone.

// workers is how many rsync processes there may be beside the live ones.
func workers(c *config.Master) int {
	if c.Workers > 0 {
		return max(2, c.Workers)
	}
	return runtime.NumCPU()*2 + 2
}

// sweepsAtOnce is how many of them may be sweeps.
func sweepsAtOnce(c *config.Master) int {
	return max(1, min(c.Sweep.Concurrency, workers(c)-1))
}

// priority is what the rsync processes leave to others.
func priority(c *config.Master) proc.Priority {
	class := map[string]proc.IOClass{"best-effort": proc.IOBestEffort, "idle": proc.IOIdle}
	return proc.Priority{Nice: c.Nice, IO: class[c.Ionice]}
}

// sweepPlace waits for what a comparison needs; ok is false when ctx has ended.
func (r *Replica) sweepPlace(ctx context.Context) (release func(), ok bool) {
	if r.places.Acquire(ctx) != nil {
		return nil, false
	}
	if r.slots.Acquire(ctx) != nil {
		r.places.Release()
		return nil, false
	}
	return func() { r.slots.Release(); r.places.Release() }, true
}

const (
	// staggerEach is what each further target adds to the time over which sweeps begin
	// that are due together, up to staggerMost.
	staggerEach = time.Second
	staggerMost = 5 * time.Minute
)

// spread is that time: none with one target.
func (m *Master) spread() time.Duration {
	return min(time.Duration(max(0, m.targets.Load()-1))*staggerEach, staggerMost)
}

// stagger puts off the next sweep by the target's share of the spread, unless a user
// waits for it: slaves that come back together, or that one schedule names, shall not
// all read their disks at once. Each has the same share every time. Needs the lock.
func (r *Replica) stagger(now time.Time) {
	if !r.sweeps.asked {
		r.sweeps.after = now.Add(r.share())
	}
}

// share is the target's part of the spread.
func (r *Replica) share() time.Duration {
	h := sha256.Sum256([]byte(r.module.Name + "\x00" + r.target.Name))
	return time.Duration(float64(r.spread()) * float64(binary.BigEndian.Uint32(h[:])) / (1 << 32))
}

// sweepAt is when the wanted sweep may begin. If it is to find out that an outage is
// over, it has its share after the pause. Needs the lock.
func (r *Replica) sweepAt() time.Time {
	switch {
	case r.sweeps.asked:
		return r.outage.notBefore
	case r.outage.err == nil || r.outage.notBefore.IsZero():
		return r.sweeps.after
	}
	return latest(r.sweeps.after, r.outage.notBefore.Add(r.share()))
}

// progress is the sweep as status shows it. How long it still takes goes by how fast
// it was so far or, before it has seen anything, by how long the last one took. Needs
// the lock.
func (r *Replica) progress() status.Sweep {
	if !r.sweeps.running {
		return status.Sweep{}
	}
	s := status.Sweep{Running: true, Entries: r.seen.Load(), Of: r.sweeps.entries}
	took := time.Since(r.links.swept)
	left := r.links.took - took
	if s.Entries > 0 && s.Of > 0 {
		s.Of = max(s.Of, s.Entries)
		left = time.Duration(float64(took) * float64(s.Of-s.Entries) / float64(s.Entries))
	}
	s.ETASeconds = int64(max(0, left+time.Second-1) / time.Second) // rounded up
	return s
}
