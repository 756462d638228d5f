package agent

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"reflect"
	"slices"
	"strconv"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/journal"
	"syncagent/agent/tree"
)

const (
	// saveEvery is how often the journal is written at most.
	saveEvery = time.Second
	// timesEvery is how often it is written for the times in it alone, which each
	// push changes: after a kill they are so old at most.
	timesEvery = time.Minute
)

// written is the journal as it was written last.
type written struct {
	rec journal.Target
	at  time.Time
}

// keeper writes the journal, at most once a saveEvery, beside the live loop so
// that no push waits for a disk.
func (r *Replica) keeper(ctx context.Context) error {
	var times <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.saveUp:
		case <-times:
		}
		times = nil
		if rest := r.timesRest(time.Now()); rest > 0 {
			times = time.After(rest)
		} else {
			r.saveOrSay()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(saveEvery):
		}
	}
}

// timesRest returns for how long the journal need not be written, since nothing but
// times in it changed.
func (r *Replica) timesRest(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := r.written.at.Add(timesEvery).Sub(now)
	if r.written.at.IsZero() || rest <= 0 || !reflect.DeepEqual(timeless(r.written.rec), timeless(r.record())) {
		return 0
	}
	return rest
}

func timeless(t journal.Target) journal.Target {
	t.LastSuccess, t.InSync = time.Time{}, time.Time{}
	return t
}

// saveOrSay writes what the target has not confirmed. A journal that cannot be
// written costs a sweep at the next start, no more: said, not fatal.
func (r *Replica) saveOrSay() {
	if err := r.save(); err != nil {
		r.log.Warn("journal cannot be written, free or repair the state directory", "error", err)
	}
}

func (r *Replica) save() error {
	r.mu.Lock()
	rec := r.record()
	r.mu.Unlock()
	if err := r.store.SaveTarget(r.module.Name, r.target.Name, rec); err != nil {
		return err
	}
	r.root.wrote(r.target.Name)
	r.mu.Lock()
	r.written = written{rec, time.Now()}
	r.mu.Unlock()
	return nil
}

func (r *Replica) record() journal.Target {
	r.noteEqual()
	rec := journal.Target{
		Remote:        remoteName(r.target),
		FirstSyncDone: r.sweeps.firstDone,
		LastSuccess:   r.counts.lastSuccess,
		InSync:        r.counts.inSync,
		Oldest:        r.oldest(),
		Instance:      r.instance.String(),
		Open:          !r.closed,
	}
	pending, held := tree.NewSet(journal.MaxMarks-1), tree.NewSet(journal.MaxMarks)
	r.lane.addTo(pending)
	r.bulk.addTo(pending)
	r.hot.addTo(pending)
	pending.Restore(slices.Collect(r.unsure.set.All()))
	for p, t := range r.retries {
		pending.Mark(p, t.mark.What)
		rec.Failing = append(rec.Failing, journal.Failing{Path: p, Class: t.class.String(), Text: t.text, Since: t.since, Tries: t.tries, Told: t.told})
	}
	for _, p := range r.gate.paths() {
		held.Mark(p, tree.Content)
	}
	rec.Failing = oldestFailing(rec.Failing)
	rec.Pending, rec.Held = pending.Take(), held.Take()
	owed := r.unsure.all || r.sweeps.wanted && !r.sweeps.scheduled || r.sweeps.running && !r.sweeps.narrow || r.sweeps.partial || r.cut
	if owed || !r.linksAt.IsZero() || len(r.surplus) > 0 {
		rec.Pending = withSweep(rec.Pending)
	}
	return rec
}

// withSweep adds a sweep that is not done to what the journal keeps. The marks
// after it stay: they know more than a sweep can see.
func withSweep(b tree.Batch) tree.Batch {
	if len(b) > 0 && b[0].Path == tree.Root {
		b = b[1:]
	}
	return slices.Insert(b, 0, tree.Mark{Path: tree.Root, What: tree.Attrs | tree.Content | tree.Deep})
}

// restore takes up what the journal knows. A record about another remote place
// is no record: the target is a new one.
func (r *Replica) restore() {
	r.restorePause()
	rec, err := r.store.LoadTarget(r.module.Name, r.target.Name)
	var torn *journal.CorruptError
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.As(err, &torn):
		r.log.Warn("journal of the target is damaged, its first sweep holds deletes", "file", torn.Path, "kept_as", torn.SetAside)
	case err != nil:
		r.log.Warn("journal of the target cannot be read, its first sweep holds deletes", "error", err)
	case rec.Remote != remoteName(r.target):
		r.log.Info("target now stands elsewhere, its journal is not used", "was", rec.Remote)
	case !r.root.trusted(r.target.Name):
		r.log.Warn("module's own journal is missing, the target's is not used: its first sweep holds deletes")
		poke(r.saveUp) // the next start must not believe it either
	default:
		r.resume(rec)
	}
}

func (r *Replica) resume(rec journal.Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range rec.Pending {
		r.mark(m.Path, m.What)
	}
	held := map[tree.Path]int{}
	for _, m := range rec.Held {
		held[m.Path] = 1
	}
	r.gate.holdOwn(held, "held before the agent was restarted", time.Now())
	r.resumeTimes(rec, time.Now())
	r.sweeps.firstDone = rec.FirstSyncDone
	r.counts.lastSuccess = rec.LastSuccess
	r.instance = parseInstance(rec.Instance)
	if !rec.FirstSyncDone {
		r.another = time.Now() // what is missing by these marks may be the slave's own
	}
	if rec.Open { // what was marked after it was written is not in it
		r.missed()
	}
	r.inherited(rec.Pending, rec.Open, time.Now())
}

// remoteName names the place a target's journal is about.
func remoteName(t config.Target) string {
	return net.JoinHostPort(t.Host, strconv.Itoa(t.Port)) + "/" + t.Module + "/" + t.Dir
}
