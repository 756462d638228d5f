package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"syncagent/agent/config"
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
	forced  []tree.Path  // those of them for which one may make way
	failed  []rsync.Failure
	back    map[tree.Path]bool // put back until their file system is mounted again
	missing map[tree.Path]bool
	linked  []root.Stat // files of several names that changed
}

// step takes the batch that stands and brings the slave to it once.
func (r *Replica) step(ctx context.Context) {
	batch, taken := r.take()
	defer func() {
		r.mu.Lock()
		r.land(time.Now())
		r.mu.Unlock()
	}()
	l, err := r.root.look(batch, taken)
	if err != nil {
		r.fail(batch, err)
		return
	}
	defer l.close()
	if err := r.push(ctx, l.view, l.entries); err != nil {
		r.fail(batch, err)
	}
}

// push sends what a look at the batch found. After an error nothing of the
// batch is confirmed.
func (r *Replica) push(ctx context.Context, v *view, entries []root.Entry) error {
	w := r.sort(v, entries)
	if w.idle() {
		r.rest(entries, w)
		return nil
	}
	if err := r.reach(ctx); err != nil {
		return err
	}
	found, extras, err := r.list(ctx, v, &w)
	if err != nil {
		return err
	}
	entries = append(slices.Clip(entries), found...)
	if err := r.pass(ctx, v, &w); err != nil {
		return err
	}
	if err := r.makeWay(ctx, &w); err != nil {
		return err
	}
	out := rsync.Outcome{}
	if w.sends() > 0 {
		out = r.send(ctx, v, w)
	}
	out.Failed, out.Extras = append(out.Failed, w.failed...), append(out.Extras, extras...)
	r.conclude(entries, w, v.reported(out))
	return nil
}

// send hands the batch to the slave. What may delete goes in a run of its own
// in two cases. Where file systems are mounted below the root, one of them could
// vanish while rsync looks, and a run that may delete what is missing must then
// not hold what was there. Where something is excluded, a directory of the slave
// may hold it and stand in the place of a file that nobody saw coming; a run
// that may delete would have it make way.
func (r *Replica) send(ctx context.Context, v *view, w work) rsync.Outcome {
	deletes := rsync.Batch{Send: w.forced, Gone: w.send.Gone, Replace: len(w.forced) > 0, MaxDelete: w.send.MaxDelete}
	present := w.send
	present.Gone, present.MaxDelete = nil, 0
	switch {
	case deletes.Empty():
		return r.slave.Send(ctx, v.Dir(), present)
	case present.Empty():
		return r.slave.Send(ctx, v.Dir(), deletes)
	case !v.nested() && r.module.Rules.Empty():
		present.Send = slices.Concat(present.Send, deletes.Send)
		present.Gone, present.Replace, present.MaxDelete = deletes.Gone, deletes.Replace, deletes.MaxDelete
		return r.slave.Send(ctx, v.Dir(), present)
	}
	out := r.slave.Send(ctx, v.Dir(), present)
	if out.Err != nil && !pathsOnly(out.Err.Class) {
		return unsent(out, slices.Concat(deletes.Gone, deletes.Send))
	}
	return join(out, r.slave.Send(ctx, v.Dir(), deletes))
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
	a.Stats.Files += b.Stats.Files
	a.Stats.Deletes += b.Stats.Deletes
	a.Stats.Created += b.Stats.Created
	a.Stats.Entries += b.Stats.Entries
	a.Stats.Runs += b.Stats.Runs
	a.Stats.Bytes += b.Stats.Bytes
	return a
}

// sends counts what goes to the slave.
func (w *work) sends() int {
	b := w.send
	return len(b.Send) + len(b.Attrs) + len(b.Gone) + len(b.Deep) + len(w.forced)
}

func (w *work) idle() bool {
	return w.sends() == 0 && len(w.gone) == 0 && len(w.replace) == 0 && len(w.failed) == 0
}

// sort says of each entry what has to be done about it.
func (r *Replica) sort(v *view, entries []root.Entry) work {
	w := work{back: map[tree.Path]bool{}, missing: map[tree.Path]bool{}}
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
			r.sortPresent(&w, e)
		}
	}
	r.relink(&w)
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
	}
}

func (r *Replica) sortPresent(w *work, e root.Entry) {
	if r.module.Rules.Excludes(e.Path, e.Stat.IsDir()) {
		return
	}
	r.mu.Lock()
	for _, p := range r.gate.release(e.Path, e.Stat.IsDir(), e.What&tree.Deep != 0) {
		r.remark(p, tree.Deep)
	}
	if e.Stat.IsRegular() && e.Stat.Links > 1 {
		r.link(w, e)
	} else {
		r.links.gone(e.Path)
	}
	r.mu.Unlock()
	switch {
	case e.What&tree.Deep != 0:
		w.send.Deep = append(w.send.Deep, e.Path)
	case !e.Stat.IsDir() && wasDirectory(e):
		w.replace = append(w.replace, e)
	case e.What&tree.Content == 0 && e.Stat.IsRegular() && e.Stat.Size > smallAttrs:
		w.send.Attrs = append(w.send.Attrs, e.Path)
	default:
		w.send.Send = append(w.send.Send, e.Path)
	}
}

// wasDirectory reports whether marks tell that a directory stood where now
// something else does.
func wasDirectory(e root.Entry) bool {
	return e.Marks > 1 || slices.ContainsFunc(e.Batch, func(m tree.Mark) bool { return m.What&tree.Deep != 0 })
}

// link marks the other names of a file. Needs the lock.
func (r *Replica) link(w *work, e root.Entry) {
	others, changed := r.links.seen(e.Path, e.Stat)
	for _, p := range others {
		r.remark(p, tree.Content)
	}
	if changed {
		w.linked = append(w.linked, e.Stat)
	}
}

// relink has a sweep look for the names that are not known of files that
// changed, once the whole batch is.
func (r *Replica) relink(w *work) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.links.goneBelow(w.missing)
	if !slices.ContainsFunc(w.linked, r.links.lacks) || !r.linksAt.IsZero() {
		return
	}
	r.linksAt = r.links.sweepAt()
	if r.sweeps.missed.IsZero() {
		r.sweeps.missed = time.Now()
	}
	poke(r.sweepUp)
}

// putBack keeps an entry around a lost mount point for the time it is back.
func (r *Replica) putBack(w *work, e root.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.back[e.Path] = true
	t := r.retryOf(e.Path)
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
	r.remote = readMOTD(g.MOTD)
	if r.target.Transport == config.TransportSSH {
		r.remote = sshRemote(*r.target.SSH)
	}
	r.counts.connections++
	r.mu.Unlock()
	return nil
}

// fail puts the batch back and pauses the target.
func (r *Replica) fail(batch tree.Batch, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range batch {
		r.remark(m.Path, m.What)
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
