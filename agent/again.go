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
	all bool      // everything is to be compared, too; in the set it would swallow marks that know more
	at  time.Time // when; zero for never
	old time.Time // when the first of them was cut off
}

// mark adds a path. The root's own attributes are the slave's.
func (u *unsure) mark(p tree.Path, what tree.What) {
	switch {
	case p != tree.Root:
		u.set.Mark(p, what)
	case what&tree.Deep != 0:
		u.all = true
	}
}

func (u *unsure) count() int {
	n := u.set.Len()
	if u.all {
		n++
	}
	return n
}

func (u *unsure) overlaps(p tree.Path) bool { return u.all || u.set.Overlaps(p) }

// cutOff notes that nobody knows how a run of these entries ends on the slave.
// Needs the lock.
func (r *Replica) cutOff(entries []root.Entry, now time.Time) {
	for _, e := range entries {
		r.unsure.mark(e.Path, e.What)
	}
	if r.unsure.count() == 0 {
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
	r.log.Debug("a run was cut off, its paths are sent once more", "marks", r.unsure.count(), "in", wait)
}

// inherited follows a start: runs of the agent before this one were cut off with it.
// What they were about is sent once more like what this one's own are about, and
// everything is looked at once more if that agent could not write it down or if this
// host still delivers it. Needs the lock.
func (r *Replica) inherited(pending tree.Batch, killed bool, now time.Time) {
	for _, m := range pending {
		r.unsure.mark(m.Path, m.What)
	}
	r.unsure.all = r.unsure.all || killed || r.drains != nil && r.drains()
	if r.unsure.count() > 0 {
		r.unsure.at, r.unsure.old = now.Add(cutRest), now
	}
}

// againSoon reports whether what was cut off is sent once more within a time that one
// waits for it. Needs the lock.
func (r *Replica) againSoon(now time.Time) bool {
	return r.unsure.count() > 0 && r.unsure.at.Sub(now) <= againOurs
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
	old, all := r.unsure.old, r.unsure.all
	r.unsure.at, r.unsure.old, r.unsure.all = time.Time{}, time.Time{}, false
	for _, m := range r.unsure.set.Take() {
		r.remark(m.Path, m.What, old)
	}
	if all {
		r.missed()
		r.sweeps.missed = earliest(r.sweeps.missed, old)
	}
	return time.Time{}
}
