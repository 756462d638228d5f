package agent

import (
	"slices"
	"time"

	"syncagent/agent/journal"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// oldestFailing returns as many failing paths as the journal keeps, those that fail
// for longest.
func oldestFailing(list []journal.Failing) []journal.Failing {
	if len(list) > shownPaths {
		slices.SortFunc(list, func(a, b journal.Failing) int { return a.Since.Compare(b.Since) })
		list = list[:shownPaths]
	}
	return list
}

// resumeTimes takes up since when what is. Whether a path fails for long or a target
// is far behind must not depend on how long the agent runs. What the journal marked
// is in the set by now. Needs the lock.
func (r *Replica) resumeTimes(rec journal.Target, now time.Time) {
	// The clock may have been set back since, and may be while this agent runs: from
	// here on only how long ago it was counts.
	past := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return now.Add(-max(0, now.Sub(t)))
	}
	marked := map[tree.Path]tree.What{}
	for _, m := range rec.Pending {
		marked[m.Path] = m.What
	}
	for _, f := range rec.Failing {
		what := marked[f.Path]
		if what == 0 {
			what = tree.Content // a mark above it holds it
		}
		r.mark(f.Path, what) // one that is not in the set would wait for ever
		r.retries[f.Path] = &retry{
			mark: tree.Mark{Path: f.Path, What: what}, class: rsync.ParseClass(f.Class), text: f.Text,
			since: past(f.Since), tries: f.Tries, told: f.Told,
		}
	}
	oldest := past(rec.Oldest)
	r.backdate(oldest)
	if !oldest.IsZero() && oldest.Before(r.sweeps.missed) {
		r.sweeps.missed = oldest
	}
	r.counts.inSync = past(rec.InSync)
}
