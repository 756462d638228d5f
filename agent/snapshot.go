package agent

import (
	"slices"
	"time"

	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// shownPaths bounds the failing and held paths a snapshot lists.
const shownPaths = 1000

// snapshot tells the replica's state, which is blocked as long as its module
// is. While changes are unsettled, known to the watcher and not marked yet,
// nothing is in sync.
func (r *Replica) snapshot(blocked string, unsettled bool) status.Target {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	t := status.Target{
		Name: r.target.Name, State: r.state(now),
		Pending: r.pending(), Failing: r.failingCount(), HeldDeletes: r.gate.count(),
		Links: r.remote.links, Owners: r.remote.owners, Sweep: r.progress(), Drift: r.sweeps.drift.shown(),
		Batches: r.counts.batches, Files: r.counts.files, Bytes: r.counts.bytes,
		Deletes: r.counts.deletes, Connections: r.counts.connections,
	}
	t.LastError, t.Class = r.lastError()
	if unsettled && t.State == status.Idle {
		t.State = status.Settling
	}
	if blocked != "" {
		t.State, t.LastError, t.Class = status.Blocked, blocked, rsync.SourceGone.String()
	}
	if r.outage.err != nil {
		t.NextTry = status.Time{Time: r.outage.notBefore}
	}
	t.FailingPaths = r.failing()
	oldest := r.oldest()
	if unsettled && r.seenUntil != nil {
		oldest = earliest(oldest, r.seenUntil())
	}
	if !oldest.IsZero() {
		t.OldestPending = max(0, now.Sub(oldest)).Seconds() // the clock may have been set back since a restart
	}
	inSync := r.counts.inSync
	if r.clean() && blocked == "" && !(unsettled && r.seenUntil == nil) {
		inSync = r.asOf(now)
	}
	t.InSyncAsOf = status.Time{Time: inSync}
	t.Lag = r.lag(now, blocked, oldest, inSync).Seconds()
	return t
}

// pending counts the marks that are not confirmed.
func (r *Replica) pending() int {
	n := r.marked() + r.unsure.count()
	if !r.sweeps.oldest().IsZero() {
		n++ // the sweep is a mark, too
	}
	for _, t := range r.retries {
		if !t.next.IsZero() {
			n++
		}
	}
	return n
}

// oldest is when the oldest unconfirmed change was marked.
func (r *Replica) oldest() time.Time {
	first := earliest(r.lane.dirtySince(), r.bulk.dirtySince())
	first = earliest(earliest(first, r.hot.dirtySince()), r.sweeps.oldest())
	first = earliest(first, r.unsure.old)
	for _, t := range r.retries {
		first = earliest(first, t.since)
	}
	return first
}

func (r *Replica) failingCount() int {
	n := 0
	for _, t := range r.retries {
		if t.class != rsync.Transient {
			n++
		}
	}
	return n
}

func (r *Replica) failing() []status.Failing {
	var list []status.Failing
	for p, t := range r.retries {
		if t.class == rsync.Transient {
			continue
		}
		list = append(list, t.shown(p))
	}
	slices.SortFunc(list, func(a, b status.Failing) int { return tree.Compare(tree.Path(a.Name), tree.Path(b.Name)) })
	return list[:min(len(list), shownPaths)]
}

// Held tells what the replica's delete gate holds, if anything.
func (r *Replica) Held() (status.Held, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.gate.held) == 0 {
		return status.Held{}, false
	}
	h := status.Held{
		Module: r.module.Name, Target: r.target.Name, Reason: r.gate.reason,
		Count: r.gate.count(), Digest: r.gate.digest(r.module.Name, r.target.Name, r.instance.place),
	}
	for _, p := range r.gate.paths() {
		h.Paths = append(h.Paths, status.Path{Name: string(p)})
	}
	h.Paths = h.Paths[:min(len(h.Paths), shownPaths)]
	return h, true
}

// Approve lets go exactly the set that digest names, and reports whether that
// is what is held. The paths are looked up again before anything goes.
func (r *Replica) Approve(digest string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.gate.held) == 0 || r.gate.digest(r.module.Name, r.target.Name, r.instance.place) != digest {
		return false
	}
	paths := r.gate.approve(time.Now())
	r.look(paths)
	r.backdate(r.gate.since)
	r.sweeps.firstDone = r.sweeps.firstDone || r.sweeps.complete
	r.log.Info("held deletes were approved", "paths", len(paths))
	poke(r.wake)
	poke(r.saveUp)
	return true
}
