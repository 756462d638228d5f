package agent

import (
	"time"

	"syncagent/agent/root"
	"syncagent/agent/tree"
)

// What is left of a session on the slave after its run was cut off may still put
// old content over what a later run sent: a receiver that hangs holds a complete
// file and only has to rename it, and one at the end of a slow line is still being
// given the old file by this host's kernel, which delivers what a dead run wrote.
const (
	// cutRest is what our own receiver has to end such a session before the next
	// try; it looks twice a second.
	cutRest = 2 * time.Second
	// againOurs and againForeign are when the paths of the run are sent once
	// more. A foreign daemon ends what is left of a session by its time-out at
	// best: ten minutes are more than any that is usual.
	againOurs    = 10 * time.Second
	againForeign = 10 * time.Minute
)

// unsure keeps the paths of a run that was cut off, to be sent once more.
type unsure struct {
	set *tree.Set
	at  time.Time // when; zero for never
	old time.Time // when the first of them was cut off
}

// cutOff notes that nobody knows how a run of these entries ends on the slave.
// Needs the lock.
func (r *Replica) cutOff(entries []root.Entry, now time.Time) {
	for _, e := range entries {
		if e.Path != tree.Root || e.What&tree.Deep != 0 { // its own attributes are the slave's
			r.unsure.set.Mark(e.Path, e.What)
		}
	}
	if r.unsure.set.Len() == 0 {
		return
	}
	wait := againForeign
	if r.remote.ours {
		wait = againOurs
	}
	r.unsure.at = now.Add(wait)
	if r.unsure.old.IsZero() {
		r.unsure.old = now
	}
	if rest := now.Add(cutRest); r.outage.err != nil && r.outage.notBefore.Before(rest) {
		r.outage.notBefore = rest
	}
	r.log.Debug("a run was cut off, its paths are sent once more", "marks", r.unsure.set.Len(), "in", wait)
}

// inherited follows a start: runs of the agent before this one were cut off with it.
// What they were about is sent once more like what this one's own are about, and
// everything is looked at once more if that agent could not write it down or if this
// host still delivers it. Needs the lock.
func (r *Replica) inherited(pending tree.Batch, killed bool, now time.Time) {
	for _, m := range pending {
		if m.Path != tree.Root || m.What&tree.Deep != 0 { // its own attributes are the slave's
			r.unsure.set.Mark(m.Path, m.What)
		}
	}
	if killed || r.drains != nil && r.drains() {
		r.unsure.set.Mark(tree.Root, tree.Deep)
	}
	if r.unsure.set.Len() > 0 {
		r.unsure.at, r.unsure.old = now.Add(cutRest), now
	}
}

// againSoon reports whether what was cut off is sent once more within a time that one
// waits for it. Needs the lock.
func (r *Replica) againSoon(now time.Time) bool {
	return r.unsure.set.Len() > 0 && r.unsure.at.Sub(now) <= againOurs
}

// resend puts them back into the set when it is time, and returns when that is.
// What was cut off is not over while this host still delivers some of it. Needs the
// lock.
func (r *Replica) resend(now time.Time) time.Time {
	if r.unsure.at.IsZero() || r.unsure.at.After(now) {
		return r.unsure.at
	}
	if r.drains != nil && r.drains() {
		r.unsure.at = now.Add(cutRest)
		return r.unsure.at
	}
	old := r.unsure.old
	r.unsure.at, r.unsure.old = time.Time{}, time.Time{}
	for _, m := range r.unsure.set.Take() {
		if m.Path == tree.Root && m.What&tree.Deep != 0 {
			r.missed()
			r.sweeps.missed = earliest(r.sweeps.missed, old)
			continue
		}
		r.remark(m.Path, m.What, old)
	}
	return time.Time{}
}
