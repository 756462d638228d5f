package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/root"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// conclude books what a run did: what failed stays dirty, everything else of
// the batch is confirmed.
func (r *Replica) conclude(entries []root.Entry, w work, out rsync.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	down := out.Err != nil && !pathsOnly(out.Err.Class)
	full := w.bulk && down && out.Err.Class == rsync.DiskFull
	down = down && !full // what is smaller may still fit
	dirty := r.refuse(entries, w, out.Failed, down, now)
	r.count(entries, w, out, dirty, now)
	r.confirm(entries, w, dirty)
	r.tell(entries, w, out.Failed, dirty)
	r.noteAttempts(w, out.Failed, dirty, now)
	r.noteSent(entries, dirty, now)
	for _, p := range out.Differ {
		if !dirty[p] {
			r.remark(p, tree.Content, w.since)
		}
	}
	r.extras(out.Extras, w.since)
	if len(out.Extras) > 0 {
		r.backdate(w.since)
	}
	if down {
		r.interrupted(w, out)
		r.pause(out.Err)
	}
	if out.Cut {
		r.cutOff(entries, now)
	}
	if down || full {
		return
	}
	if r.sweeps.partial && len(r.retries) == 0 {
		r.sweeps.partial, r.sweeps.wanted, r.sweeps.scheduled = false, true, false // what could not be looked at can be now
		poke(r.sweepUp)
	}
	if w.send.Empty() {
		r.doubt()
		return
	}
	r.recovered(now)
}

// interrupted follows a run that was cut off: a daemon that died with it leaves
// the temporary file of what it was receiving, which no mark tells of. A sweep
// looks for it once the target takes changes again. Needs the lock.
func (r *Replica) interrupted(w work, out rsync.Outcome) {
	ours := errors.Is(out.Err, context.Canceled) // then the daemon lives and cleans up
	if len(w.send.Send)+len(w.send.Deep) > 0 && out.Err.Class == rsync.Transient && !ours {
		r.cut = true
	}
}

// rest ends a batch that asks nothing of the slave.
func (r *Replica) rest(entries []root.Entry, w work) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.confirm(entries, w, nil)
	r.doubt()
}

// doubt follows a batch of which nothing was sent: it does not tell whether an
// outage lasts, and with nothing left to send only a sweep would find out. Needs
// the lock.
func (r *Replica) doubt() {
	if r.outage.err != nil {
		r.missed()
	}
}

// refuse keeps what failed dirty, and returns the paths under which it is kept.
func (r *Replica) refuse(entries []root.Entry, w work, failed []rsync.Failure, down bool, now time.Time) map[tree.Path]bool {
	dirty := make(map[tree.Path]bool, len(failed))
	if len(failed) == 0 {
		return dirty
	}
	marked := make(map[tree.Path]tree.What, len(entries))
	other := map[tree.Path]bool{}
	for _, e := range entries {
		marked[e.Path] = e.What
		if e.What&tree.Other != 0 {
			other[e.Path] = true
		}
		if e.State == root.Present && wasDirectory(e) {
			marked[e.Path] |= tree.Deep // it may have to replace one next time, too
		}
	}
	for _, f := range failed {
		f.What |= marked[f.Path] // a missing directory may come back with content
		if f.What&tree.Deep != 0 && covered(other, f.Path) {
			f.What |= tree.Other
		}
		dirty[f.Path] = true
		since := w.since
		if f.Newer {
			since = w.taken
		}
		dirty[r.refused(f, since, down, now)] = true
	}
	return dirty
}

// maxRetries bounds the failing paths that are kept one by one; beyond it they
// stand as their directory.
const maxRetries = 10_000

// pathsOnly reports whether a class is about paths, not about the target.
func pathsOnly(c rsync.Class) bool { return c == rsync.Partial || c == rsync.Usage }

// refused keeps a failed path dirty, and returns under which path. When the
// whole target is down its paths simply wait in the set; a path that fails alone
// has pauses of its own.
func (r *Replica) refused(f rsync.Failure, since time.Time, down bool, now time.Time) tree.Path {
	if f.What == 0 {
		f.What = tree.Content
	}
	if down {
		r.remark(f.Path, f.What, since)
		return f.Path
	}
	for len(r.retries) >= maxRetries && r.retries[f.Path] == nil && f.Path.Parent() != tree.Root {
		f.Path, f.What = f.Path.Parent(), tree.Deep|f.What&tree.Other
	}
	t := r.retryOf(f.Path, since)
	if f.Newer {
		t.since = since // what was missing before has arrived
	}
	first, last := retryFirst, retryLast
	if f.Class == rsync.Transient {
		first, last = movedFirst, movedLast
	} else if t.tries == 0 {
		r.log.Warn("path is not taken", "path", string(f.Path), "class", f.Class.String(), "text", f.Text)
	}
	t.mark.What |= f.What
	t.class, t.text = f.Class, f.Text
	t.next = now.Add(pause(first, last, t.tries))
	t.tries++
	return f.Path
}

// retryOf returns the retry of p, which it makes if there is none. It has been
// dirty since some time or, if that is zero, since now. Needs the lock.
func (r *Replica) retryOf(p tree.Path, since time.Time) *retry {
	t := r.retries[p]
	if t == nil {
		if since.IsZero() {
			since = time.Now()
		}
		t = &retry{mark: tree.Mark{Path: p}, since: since}
		r.retries[p] = t
	}
	return t
}

// remark marks again what was in the batch under way: it has been dirty since
// then. Needs the lock.
func (r *Replica) remark(p tree.Path, what tree.What, since time.Time) {
	r.mark(p, what)
	switch {
	case p == tree.Root && what&tree.Deep != 0: // it became a sweep
		r.sweeps.missed = earliest(r.sweeps.missed, since)
	case !r.marks.first.IsZero():
		r.marks.first = earliest(r.marks.first, since)
	}
}

// confirm forgets the troubles of paths that now are equal, and of what lies
// below those that went or came as a whole. Needs the lock.
func (r *Replica) confirm(entries []root.Entry, w work, dirty map[tree.Path]bool) {
	if len(r.retries) == 0 {
		return
	}
	equal, whole := map[tree.Path]bool{}, map[tree.Path]bool{}
	for _, e := range entries {
		if dirty[e.Path] || w.back[e.Path] {
			continue
		}
		equal[e.Path] = true
		if e.What&tree.Deep != 0 || e.State == root.Missing || e.State == root.Present && !e.Stat.IsDir() {
			whole[e.Path] = true
		}
	}
	maps.DeleteFunc(r.retries, func(p tree.Path, _ *retry) bool {
		return !dirty[p] && !w.back[p] && (equal[p] || covered(whole, p))
	})
}

func (r *Replica) count(entries []root.Entry, w work, out rsync.Outcome, dirty map[tree.Path]bool, now time.Time) {
	s := out.Stats
	r.counts.connections += int64(s.Runs)
	r.counts.files += int64(s.Files)
	r.counts.bytes += s.Bytes
	r.counts.deletes += int64(s.Deletes)
	if s.Runs > 0 {
		r.counts.batches++
	}
	r.sweeps.entries = max(0, r.sweeps.entries+int64(s.Created-s.Deletes))
	if !w.bulk { // which deletes nothing
		r.gate.spent(s.Deletes, now)
	}
	if out.Err == nil || pathsOnly(out.Err.Class) {
		r.moves.parted(w.send.Gone, dirty)
		if w.send.Anew {
			r.moves.parted(w.send.Deep, dirty)
		}
	}
	sent := slices.Concat(w.send.Send, w.send.Replace)
	r.gate.confirmed(w.send.Gone, sent, r.gate.filesAt(entries, sent), dirty)
}

// recovered ends an outage. Needs the lock.
func (r *Replica) recovered(now time.Time) {
	if r.outage.err != nil {
		r.log.Info("target takes changes again")
		poke(r.sweepUp)
		poke(r.bulk.wake)
		r.stagger(now)
	}
	r.outage = outage{}
	r.counts.lastSuccess = now
	if r.cut {
		r.sweepAgain(now)
	}
}

// Recover makes a target, and each of its failing paths, try again at once.
func (r *Replica) Recover() {
	r.mu.Lock()
	r.outage.notBefore = time.Time{}
	r.rested(time.Now(), time.Now())
	for p, t := range r.retries {
		if t.class == rsync.SourceGone {
			delete(r.retries, p)
		}
		if !t.next.IsZero() {
			t.next = time.Time{}
			r.remark(p, t.mark.What, t.since)
		}
	}
	r.mu.Unlock()
	poke(r.wake)
	poke(r.bulk.wake)
	poke(r.sweepUp)
}

// extras handles what stands on the slave and not here, as has been known to be possible
// since some time. They become marks like everything else, but for a target's first
// sweep, which holds them: nobody can know yet whether they are its owner's. Needs the
// lock.
func (r *Replica) extras(extras []rsync.Extra, since time.Time) {
	extras = spare(extras, r.module.Rules)
	if !r.module.Delete || len(extras) == 0 {
		return
	}
	r.gate.recount(extras)
	if r.holdsFirst() {
		_, counts := topmost(extras)
		maps.DeleteFunc(counts, func(p tree.Path, _ int) bool { return r.gate.holds(p) })
		r.gate.holdOwn(counts, "on the slave before its first sync", earliest(since, time.Now()))
		return
	}
	tops, _ := topmost(extras)
	r.look(slices.DeleteFunc(tops, r.gate.holds))
}

// look has paths that only the slave has looked at. They bypass the set: rolled
// up, they would only be found again. Needs the lock.
func (r *Replica) look(paths []tree.Path) {
	r.noteEqual()
	for _, p := range paths {
		r.marks.touch(time.Time{})
		r.surplus[p] = true
	}
	poke(r.wake)
}

// holdsFirst reports whether the target's first sync is not approved yet.
func (r *Replica) holdsFirst() bool {
	return !r.sweeps.firstDone && r.module.FirstSync != "mirror"
}

func brakeReason(g config.Guard, n int, entries int64) string {
	if g.Files > 0 && n > g.Files {
		return fmt.Sprintf("%d deletes are more than the %d that delete_guard.files allows", n, g.Files)
	}
	return fmt.Sprintf("%d deletes are more than %d and more than %d %% of %d entries", n, g.Min, g.Percent, entries)
}

// sshRemote is what ssh alone tells: rsync without a daemon stores symlinks as
// they are, and root keeps owners; who else may is not known.
func sshRemote(s config.SSH) remote {
	r := remote{known: true, links: "kept", owners: "unknown"}
	if s.User == "root" {
		r.owners = "kept"
	}
	return r
}

// lastError returns the outage's text, or the first failing path's.
func (r *Replica) lastError() (text, class string) {
	if r.outage.err != nil {
		return r.outage.err.Error(), r.outage.class.String()
	}
	for p, t := range r.retries {
		if t.class != rsync.Transient {
			return fmt.Sprintf("%q: %s", string(p), t.text), t.class.String()
		}
	}
	return "", ""
}
