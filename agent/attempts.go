package agent

import (
	"time"

	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// attemptsKept is how many attempts a replica remembers, for people who ask about a
// path: 1,000 of the longest paths and messages are less than 5 MiB.
const attemptsKept = 1000

// attempts are the last ones, successful or not, in a ring.
type attempts struct {
	last map[tree.Path]attempt
	ring []tried
	next int
	n    uint64 // so far
}

type attempt struct {
	n           uint64
	at          time.Time
	did         string
	class, text string // of a failure
}

type tried struct {
	path tree.Path
	n    uint64
}

const (
	didSend   = "sent"
	didAttrs  = "attributes sent"
	didTree   = "sent as a tree"
	didDelete = "deleted"
)

func newAttempts() *attempts { return &attempts{last: map[tree.Path]attempt{}} }

// note keeps an attempt in place of the oldest one.
func (a *attempts) note(p tree.Path, what attempt) {
	a.n++
	what.n = a.n
	if len(a.ring) < attemptsKept {
		a.ring = append(a.ring, tried{p, a.n})
	} else {
		if old := a.ring[a.next]; a.last[old.path].n == old.n {
			delete(a.last, old.path)
		}
		a.ring[a.next] = tried{p, a.n}
		a.next = (a.next + 1) % attemptsKept
	}
	a.last[p] = what
}

// about returns the last attempt at p, or at a tree above it that it went with.
func (a *attempts) about(p tree.Path) (at tree.Path, what attempt, ok bool) {
	for q := p; ; q = q.Parent() {
		w, known := a.last[q]
		if known && w.n > what.n && (q == p || w.did == didTree || w.did == didDelete) {
			at, what, ok = q, w, true
		}
		if q == tree.Root {
			return at, what, ok
		}
	}
}

// noteAttempts remembers what a run was about and how it ended. Needs the lock.
func (r *Replica) noteAttempts(w work, failed []rsync.Failure, dirty map[tree.Path]bool, now time.Time) {
	did := func(paths []tree.Path, what string) {
		for _, p := range paths[max(0, len(paths)-attemptsKept):] {
			if !dirty[p] {
				r.attempts.note(p, attempt{at: now, did: what})
			}
		}
	}
	did(w.send.Send, didSend)
	did(w.send.Replace, didSend)
	did(w.send.Attrs, didAttrs)
	did(w.send.Gone, didDelete)
	did(w.send.Deep, didTree)
	for _, f := range failed[max(0, len(failed)-attemptsKept):] {
		what := didSend
		if w.missing[f.Path] {
			what = didDelete
		}
		r.attempts.note(f.Path, attempt{at: now, did: what, class: f.Class.String(), text: f.Text})
	}
}

// lastAttempt tells of the last attempt at p, nil when none is on record. Needs the
// lock.
func (r *Replica) lastAttempt(p tree.Path) *status.Attempt {
	at, a, ok := r.attempts.about(p)
	if !ok {
		return nil
	}
	return &status.Attempt{Path: status.Path{Name: string(at)}, Time: status.Time{Time: a.at}, Did: a.did, Class: a.class, Error: a.text}
}
