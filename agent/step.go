package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"syncagent/agent/root"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// smallAttrs is the size in bytes up to which a file whose attributes changed
// rides in the run that compares content: reading it costs less than a run.
const smallAttrs = 64 << 10

// work is a batch after it was looked up: what to send, what to ask the gate
// about, and what cannot be looked at.
type work struct {
	send    rsync.Batch
	gone    []root.Entry
	replace []root.Entry // no directories, where the slave may have one
	failed  []rsync.Failure
	back    map[tree.Path]bool // put back until their file system is mounted again
	missing map[tree.Path]bool
	since   time.Time   // of the batch's oldest mark
	taken   time.Time   // when the batch was, before it was looked up
	bulk    bool        // it is the bulk lane's
	linked  []root.Stat // files of several names that changed
}

// step takes the batch that stands in the lane and brings the slave to it once.
func (r *Replica) step(ctx context.Context, l *lane) {
	batch, taken := r.take(l)
	defer func() {
		r.mu.Lock()
		r.land(l, time.Now())
		r.mu.Unlock()
	}()
	found, err := r.root.look(batch, taken)
	if err != nil {
		r.fail(l, err)
		return
	}
	defer found.close()
	mine := r.claim(l, found)
	if len(mine) == 0 && len(found.entries) > 0 {
		return
	}
	if err := r.push(ctx, l, found.view, mine); err != nil {
		r.fail(l, err)
	}
}

// push sends what a look at the batch found. After an error nothing of the
// batch is confirmed.
func (r *Replica) push(ctx context.Context, l *lane, v *view, entries []root.Entry) error {
	w := r.sort(l, v, entries)
	if w.idle() {
		r.rest(entries, w)
		return nil
	}
	if err := r.reach(ctx); err != nil {
		return err
	}
	found, extras, err := r.list(ctx, l, v, &w)
	if err != nil {
		return err
	}
	entries = append(slices.Clip(entries), found...)
	if err := r.pass(ctx, v, &w); err != nil {
		return err
	}
	w.sparing()
	if err := r.makeWay(ctx, &w); err != nil {
		return err
	}
	out := rsync.Outcome{}
	if !w.send.Empty() {
		out = r.send(ctx, v, w.send)
	}
	out.Failed, out.Extras = append(out.Failed, w.failed...), append(out.Extras, extras...)
	r.conclude(entries, w, v.reported(out))
	return nil
}

// send hands the batch to the slave. Where file systems are mounted below the
// root, deletes go in a run of their own: one of them could vanish while rsync
// looks, and a run that may delete what is missing must then not hold what was
// there.
func (r *Replica) send(ctx context.Context, v *view, b rsync.Batch) rsync.Outcome {
	present := b
	present.Gone = nil
	if !v.nested() || len(b.Gone) == 0 || present.Empty() {
		return r.slave.Send(ctx, v.Dir(), b)
	}
	out := r.slave.Send(ctx, v.Dir(), present)
	if out.Err != nil && !pathsOnly(out.Err.Class) {
		return unsent(out, b.Gone)
	}
	return join(out, r.slave.Send(ctx, v.Dir(), rsync.Batch{Gone: b.Gone, Flat: b.Flat, MaxDelete: b.MaxDelete}))
}

// unsent adds paths that were not tried to a failed outcome.
func unsent(out rsync.Outcome, paths []tree.Path) rsync.Outcome {
	for _, p := range paths {
		out.Failed = append(out.Failed, rsync.Failure{Path: p, What: tree.Content, Class: out.Err.Class, Text: out.Err.Text})
	}
	return out
}

// join makes one outcome of two runs.
func join(a, b rsync.Outcome) rsync.Outcome {
	a.Failed = append(a.Failed, b.Failed...)
	a.Extras = append(a.Extras, b.Extras...)
	a.Differ = append(a.Differ, b.Differ...)
	if a.Err == nil || b.Err != nil && !pathsOnly(b.Err.Class) {
		a.Err = b.Err
	}
	a.Cut = a.Cut || b.Cut
	a.Stats.Files += b.Stats.Files
	a.Stats.Deletes += b.Stats.Deletes
	a.Stats.Created += b.Stats.Created
	a.Stats.Entries += b.Stats.Entries
	a.Stats.Runs += b.Stats.Runs
	a.Stats.Bytes += b.Stats.Bytes
	return a
}

func (w *work) idle() bool {
	return w.send.Empty() && len(w.gone) == 0 && len(w.replace) == 0 && len(w.failed) == 0
}

// sort says of each entry what has to be done about it.
func (r *Replica) sort(l *lane, v *view, entries []root.Entry) work {
	w := work{back: map[tree.Path]bool{}, missing: map[tree.Path]bool{}, since: l.flight.since, taken: l.flight.taken, bulk: l == r.bulk}
	w.send.Bulk, w.send.Leave = w.bulk, l.flight.leave
	w.send.Seeds = l.flight.seeds
	for _, e := range entries {
		switch {
		case v.below(e.Path), e.State == root.Missing && v.above(e.Path):
			r.putBack(&w, e)
		case e.State == root.Unreadable:
			w.failed = append(w.failed, rsync.Failure{Path: e.Path, What: e.What, Class: rsync.Partial, Text: cause(e.Err).Error()})
		case e.State == root.Missing:
			r.sortMissing(&w, e)
		case e.Path == tree.Root:
			sortRoot(&w, e)
		default:
			r.sortPresent(l, &w, e)
		}
	}
	r.relink(&w, r.expected(v, entries))
	return w
}

// sortRoot sends everything when the whole set rolled up to the root: a sweep
// would find the same again. The root's own attributes belong to the slave.
func sortRoot(w *work, e root.Entry) {
	if e.What&tree.Deep != 0 {
		w.send.Deep = append(w.send.Deep, tree.Root)
	}
}

func (r *Replica) sortMissing(w *work, e root.Entry) {
	w.missing[e.Path] = true
	rules := r.module.Rules
	if r.module.Delete && !(rules.Excludes(e.Path, false) && rules.Excludes(e.Path, true)) {
		w.gone = append(w.gone, e)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passedBy([]root.Entry{e}, w.since)
}

func (r *Replica) sortPresent(l *lane, w *work, e root.Entry) {
	if r.module.Rules.Excludes(e.Path, e.Stat.IsDir()) {
		return
	}
	r.mu.Lock()
	r.letGo(l, w, e)
	if e.Stat.IsRegular() && e.Stat.Links > 1 {
		r.link(w, e)
	} else {
		r.otherNames(r.links.gone(e.Path), w.since)
	}
	w.send.Anew = w.send.Anew || e.What&tree.Deep != 0 && r.moves.shares(e.Path)
	r.mu.Unlock()
	switch {
	case e.What&tree.Deep != 0:
		w.send.Deep = append(w.send.Deep, e.Path)
		if e.What&tree.Other != 0 {
			w.send.Other = append(w.send.Other, e.Path)
		}
	case !e.Stat.IsDir() && wasDirectory(e):
		w.replace = append(w.replace, e)
	case e.What&tree.Content == 0 && e.Stat.IsRegular() && e.Stat.Size > smallAttrs:
		w.send.Attrs = append(w.send.Attrs, e.Path)
	default:
		w.send.Send = append(w.send.Send, e.Path)
	}
}

// letGo ends the holds on what stands on the master again. It was waited for since they
// began, and still is. Needs the lock.
func (r *Replica) letGo(l *lane, w *work, e root.Entry) {
	held := len(r.gate.held)
	unknown := r.gate.release(e.Path, e.Stat.IsDir(), e.What&tree.Deep != 0)
	if len(r.gate.held) < held {
		w.since = earliest(w.since, r.gate.since)
		l.flight.since = earliest(l.flight.since, w.since)
	}
	for _, p := range unknown {
		r.remark(p, tree.Deep, w.since)
	}
}

// wasDirectory reports whether marks tell that a directory stood where now
// something else does.
func wasDirectory(e root.Entry) bool {
	return e.Marks > 1 || slices.ContainsFunc(e.Batch, func(m tree.Mark) bool { return m.What&tree.Deep != 0 || m.Path != e.Path })
}

// putBack keeps an entry around a lost mount point for the time it is back.
func (r *Replica) putBack(w *work, e root.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.back[e.Path] = true
	t := r.retryOf(e.Path, w.since)
	t.mark, t.class = tree.Mark{Path: e.Path, What: e.What}, rsync.SourceGone
	t.text, t.next = "the file system it lies on is not mounted", time.Now().Add(blockedFirst)
}

// below reports whether p lies on a mount point that is lost.
func (v *view) below(p tree.Path) bool {
	return slices.ContainsFunc(v.lost, func(d root.Difference) bool { return d.Path.Contains(p) })
}

// above reports whether a mount point that is lost lies below p.
func (v *view) above(p tree.Path) bool {
	return slices.ContainsFunc(v.lost, func(d root.Difference) bool { return p.Contains(d.Path) })
}

// reach makes sure that somebody answers before a process is spent on it: at
// the first contact, and after each failure.
func (r *Replica) reach(ctx context.Context) error {
	r.mu.Lock()
	need := !r.remote.known || r.outage.err != nil
	r.mu.Unlock()
	if !need {
		return nil
	}
	g, err := r.probe(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.counts.connections++
	r.mu.Unlock()
	return r.greeted(g)
}

// fail puts the lane's batch back and pauses the target.
func (r *Replica) fail(l *lane, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range l.flight.batch {
		r.remark(m.Path, m.What, l.flight.since)
	}
	r.pause(err)
}

// pause notes why the target takes nothing and when to try again. Needs the
// lock.
func (r *Replica) pause(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	class, blocked := classOf(err)
	first, last := retryFirst, retryLast
	if blocked {
		first, last = blockedFirst, blockedLast
	}
	if r.outage.err == nil || r.outage.class != class {
		r.log.Warn("target does not take changes", "class", class.String(), "error", err)
	}
	r.tried++
	r.outage = outage{
		err: err, class: class, blocked: blocked, tries: r.outage.tries + 1,
		notBefore: time.Now().Add(pause(first, last, r.outage.tries)),
	}
	r.tellChange()
}

func classOf(err error) (class rsync.Class, blocked bool) {
	var e *rsync.Error
	if errors.As(err, &e) {
		return e.Class, e.Class.Blocked()
	}
	var held *blockedError
	if errors.As(err, &held) {
		return rsync.SourceGone, true
	}
	return rsync.Transient, false
}
