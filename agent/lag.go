package agent

import (
	"time"

	"syncagent/agent/watch"
)

// Three figures say how far a target is behind, and each can only err by saying
// too much:
//
//   - oldest pending: the age of the oldest change that was marked, or is known to
//     the watcher, and that the target has not confirmed;
//   - in sync as of: the last moment of which it is known that all that had changed
//     by then stands on the target. It is taken when the target stops being clean,
//     not when somebody asks, so that it neither stands still nor jumps back;
//   - lag: the age of that moment while anything is known or suspected to differ,
//     else nothing. Held deletes, a blocked module and a target that was never
//     swept therefore have one that grows.

// noteEqual keeps until when a target that is clean was equal. It is called before
// whatever ends that. Needs the lock.
func (r *Replica) noteEqual() {
	if r.clean() {
		r.counts.inSync = r.asOf(time.Now())
	}
}

// NoteEqual is noteEqual for whoever is about to see less.
func (r *Replica) NoteEqual() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noteEqual()
}

// lag is how long ago a target was last known to be equal. Needs the lock.
func (r *Replica) lag(now time.Time, blocked string, oldest, inSync time.Time) time.Duration {
	switch {
	case r.clean() && blocked == "" && oldest.IsZero() && (r.sees() || r.seenUntil == nil):
		return 0
	case inSync.IsZero() && oldest.IsZero():
		return 0 // nothing is known yet
	case inSync.IsZero():
		return now.Sub(oldest)
	}
	return max(0, now.Sub(inSync))
}

func latest(times ...time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// allSeen reports whether the watcher notices every change.
func allSeen(st watch.Stats) bool {
	return st.BlindCount == 0 && st.Backend != string(watch.Poll) && !st.Remote
}

// seenUntil returns until when every change was marked: now, or the moment since
// when the watcher knows of one that is not marked yet; zero when there are
// changes that it does not notice.
func (s *Source) seenUntil() time.Time {
	s.mu.Lock()
	w, watching := s.watcher, s.watching && s.blocked == ""
	s.mu.Unlock()
	if w == nil || !watching {
		return time.Time{}
	}
	st := w.Stats()
	if !s.events.all || !allSeen(st) {
		return time.Time{}
	}
	if st.UnsettledSince.IsZero() {
		return time.Now()
	}
	return st.UnsettledSince
}

// noteEqual is called before changes are no longer seen.
func (s *Source) noteEqual() {
	for _, r := range s.Replicas() {
		r.NoteEqual()
	}
}
