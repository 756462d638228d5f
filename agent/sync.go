package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// Sync sweeps the targets in scope now and tells how each of them comes along,
// until each is equal or it is known what keeps it from it.
func (m *Master) Sync(ctx context.Context, req status.SyncRequest, tell func(status.SyncUpdate)) error {
	replicas := m.inScope(req.Scope)
	if len(replicas) == 0 {
		return noTarget(req.Scope)
	}
	var mu sync.Mutex
	serial := func(u status.SyncUpdate) {
		mu.Lock()
		defer mu.Unlock()
		tell(u)
	}
	var wg sync.WaitGroup
	for _, r := range replicas {
		wg.Go(func() {
			if req.DryRun {
				serial(r.syncDry(ctx))
				return
			}
			r.syncNow(ctx, req.Checksum, serial)
		})
	}
	wg.Wait()
	return ctx.Err()
}

func (m *Master) inScope(s status.Scope) []*Replica {
	var list []*Replica
	for _, src := range m.list() {
		for _, r := range src.Replicas() {
			if s.Holds(r.module.Name, r.target.Name) {
				list = append(list, r)
			}
		}
	}
	return list
}

// syncNow asks for a sweep and follows it.
func (r *Replica) syncNow(ctx context.Context, checksum bool, tell func(status.SyncUpdate)) {
	r.mu.Lock()
	from := r.tried
	sweeps := r.sweeps.done
	r.mu.Unlock()
	r.Recover()
	r.RequestSweep(checksum)
	var u status.SyncUpdate
	gone := r.follow(ctx, func() bool {
		r.mu.Lock()
		u = r.syncState(from, sweeps)
		r.mu.Unlock()
		tell(u)
		return u.Done
	})
	if gone {
		u.Done, u.Equal, u.Error = true, false, targetGone
		tell(u)
	}
}

// syncState tells how far a sync is that began after so many tries and sweeps.
// Needs the lock.
func (r *Replica) syncState(tried, sweeps int64) status.SyncUpdate {
	u := status.SyncUpdate{
		Module: r.module.Name, Target: r.target.Name, Pending: r.pending(), Held: r.gate.count(),
		State: r.state(time.Now()), Equal: r.clean(), Sweep: r.progress(),
	}
	swept := r.sweeps.done > sweeps && !r.sweeps.wanted && !r.sweeps.running
	settled := r.marked() == 0 && len(r.retries) == r.failingCount() && !r.againSoon(time.Now())
	down := r.outage.err != nil && r.tried > tried
	_, still := r.still(time.Now())
	u.Done = swept && settled || down || still
	if u.Done {
		u.Error, _ = r.lastError()
	}
	if still {
		u.Error, u.Equal = "it is paused: \"agent resume\" lets it go on", false
	}
	return u
}

// syncDry compares and changes nothing.
func (r *Replica) syncDry(ctx context.Context) status.SyncUpdate {
	u := status.SyncUpdate{Module: r.module.Name, Target: r.target.Name, Done: true, State: status.Sweeping}
	release, ok := r.sweepPlace(ctx)
	if !ok {
		u.Error = ctx.Err().Error()
		return u
	}
	d, err := r.compare(ctx, false, nil, nil)
	release()
	if err != nil {
		u.Error = err.Error()
		return u
	}
	if !r.module.Delete {
		d.Extras = nil // they may stay
	}
	u.Differ = Differences(d)
	if d.Partial != nil {
		u.Error = d.Partial.Error()
	}
	u.Equal = len(u.Differ) == 0 && u.Error == ""
	r.mu.Lock()
	u.Held, u.State = r.gate.count(), r.state(time.Now())
	r.mu.Unlock()
	return u
}

// Differences lists a comparison for people: what differs and how, then what
// the slave has beyond the master.
func Differences(d rsync.Diff) []status.Difference {
	list := make([]status.Difference, 0, len(d.Differ)+len(d.Extras))
	for _, c := range d.Differ {
		list = append(list, status.Difference{Path: shown(c.Path, c.Dir), Change: c.Describe()})
	}
	for _, e := range d.Extras {
		list = append(list, status.Difference{Path: shown(e.Path, e.Dir), Change: "only on the slave"})
	}
	return list
}

func shown(p tree.Path, dir bool) status.Path {
	if dir {
		return status.Path{Name: string(p) + "/"}
	}
	return status.Path{Name: string(p)}
}

// Held lists what the guards hold.
func (m *Master) Held(scope status.Scope) []status.Held {
	list := []status.Held{}
	for _, s := range m.list() {
		if h, ok := s.Held(); ok && (scope.Module == "" || scope.Module == s.module.Name) {
			list = append(list, h)
		}
		for _, r := range s.Replicas() {
			if h, ok := r.Held(); ok && scope.Holds(h.Module, h.Target) {
				list = append(list, h)
			}
		}
	}
	return list
}

// Approve accepts exactly what was shown under the digests.
func (m *Master) Approve(req status.ApproveRequest) error {
	for _, d := range req.Digests {
		if err := m.approve(d); err != nil {
			return err
		}
	}
	return nil
}

func (m *Master) approve(digest string) error {
	for _, s := range m.list() {
		if ok, err := s.Approve(digest); ok || err != nil {
			return err
		}
		for _, r := range s.Replicas() {
			if r.Approve(digest) {
				return nil
			}
		}
	}
	return fmt.Errorf("what was shown as %s is no longer what is held: look again with \"agent approve --dry-run\"", digest)
}

// Held tells what the root guard blocks and an approval would accept.
func (s *Source) Held() (status.Held, bool) {
	why, digest := s.Blocked(), s.guard.pending()
	if why == "" || digest == "" {
		return status.Held{}, false
	}
	return status.Held{Module: s.module.Name, Reason: why, Digest: digest}, true
}

// Approve accepts the root that digest names.
func (s *Source) Approve(digest string) (bool, error) {
	ok, err := s.guard.approve(digest)
	if ok {
		s.log.Info("root of the module was approved")
		poke(s.again)
	}
	return ok, err
}
