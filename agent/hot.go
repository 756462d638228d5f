package agent

import (
	"time"

	"syncagent/agent/root"
	"syncagent/agent/tree"
)

const (
	hotPushes  = 5     // in a row, each of other content, make a file hot
	hotGrowth  = 6     // and it rests up to so many times settle.hot between two more
	hotTracked = 4_096 // bounds the files that are looked after
	hotSayAt   = time.Minute
)

// hot finds the files that never rest, a log or a database, and sends them at most
// once in a while: each time costs the whole of them, and what arrives is old at once.
//
// A file is hot when it was sent hotPushes times in a row, each time with another
// size or time under the same inode and never more than settle.hot apart, over more
// than settle.hot in all. A burst, an editor that saves now and then or by
// renaming, and a deployment do none of this. A hot file that was written to again
// rests for settle.hot after each time it was sent, then for twice as long, and so on;
// one that was left alone for as long is as any other. What rests is marked and
// counts: it is only sent later.
type hot struct {
	base   time.Duration // 0: no file is hot
	files  map[tree.Path]*hotFile
	held   int       // files with a mark that rests
	pruned time.Time // when what is cold was last forgotten
	said   time.Time // when one was last told of
}

type hotFile struct {
	ino         uint64
	size, mtime int64
	first, last time.Time // it was sent, in this row
	count       int
	rest        time.Duration // 0: it is not hot
	again       bool          // it rested with a mark before it was sent last
	asked       bool          // somebody waits for it: it does not rest before it was sent
	what        tree.What     // the mark that rests, if any
	since       time.Time     // of that mark
}

func newHot(base time.Duration) *hot {
	return &hot{base: base, files: map[tree.Path]*hotFile{}}
}

// sent notes that a file was sent as it was looked up. It reports whether the file
// became hot by that.
func (h *hot) sent(e root.Entry, now time.Time) (became bool) {
	if h.base <= 0 || !e.Stat.IsRegular() || e.What&tree.Content == 0 {
		return false
	}
	f := h.files[e.Path]
	if f != nil && f.ino == e.Stat.Ino && f.size == e.Stat.Size && f.mtime == e.Stat.MtimeNs {
		return false // nothing was written
	}
	if f == nil {
		if !h.room(now) {
			return false
		}
		f = &hotFile{}
		h.files[e.Path] = f
	}
	pause := max(h.base, f.rest)
	if f.ino != e.Stat.Ino || now.Sub(f.last) > pause && !f.again {
		f.first, f.count, f.rest = now, 0, 0
	}
	f.ino, f.size, f.mtime, f.last = e.Stat.Ino, e.Stat.Size, e.Stat.MtimeNs, now
	f.count++
	switch {
	case f.rest > 0 && f.again:
		f.rest = min(2*f.rest, hotGrowth*h.base)
	case f.rest == 0 && f.count >= hotPushes && now.Sub(f.first) >= h.base:
		f.rest, became = h.base, true
	}
	f.again, f.asked = false, false
	return became
}

// room reports whether one more file can be looked after.
func (h *hot) room(now time.Time) bool {
	if len(h.files) < hotTracked {
		return true
	}
	if now.Sub(h.pruned) < h.base {
		return false
	}
	h.pruned = now
	for p, f := range h.files {
		if f.what == 0 && now.Sub(f.last) > max(h.base, f.rest) {
			delete(h.files, p)
		}
	}
	return len(h.files) < hotTracked
}

// rests reports whether what was looked up has to rest, and then keeps its mark.
func (h *hot) rests(e root.Entry, since, now time.Time) bool {
	f := h.files[e.Path]
	if f == nil || f.rest == 0 || f.asked || e.State != root.Present || f.ino != e.Stat.Ino || e.Marks > 1 || !now.Before(f.last.Add(f.rest)) {
		return false
	}
	h.keep(f, e.What, since)
	return true
}

func (h *hot) keep(f *hotFile, what tree.What, since time.Time) {
	if f.what == 0 {
		h.held++
	}
	f.what |= what
	f.since = earliest(f.since, since)
}

// absorbs adds to the mark of a file that rests; nothing has to be looked at.
func (h *hot) absorbs(p tree.Path, what tree.What) bool {
	f := h.files[p]
	if f == nil || f.what == 0 || what&tree.Deep != 0 {
		return false
	}
	f.what |= what
	return true
}

// wake hands out the marks that have rested, and those that somebody asks for, which
// were made until some time. It returns when the next one has rested; zero for none.
func (h *hot) wake(now, asked time.Time, mark func(tree.Mark, time.Time)) (next time.Time) {
	if h.held == 0 {
		return time.Time{}
	}
	for p, f := range h.files {
		early := !f.since.After(asked)
		switch due := f.last.Add(f.rest); {
		case f.what == 0:
		case early || !due.After(now):
			m, since := tree.Mark{Path: p, What: f.what}, f.since
			f.what, f.since, f.again, f.asked = 0, time.Time{}, !early, early
			h.held--
			mark(m, since)
		default:
			next = earliest(next, due)
		}
	}
	return next
}

// addTo adds what rests to a set.
func (h *hot) addTo(to *tree.Set) {
	for p, f := range h.files {
		to.Mark(p, f.what)
	}
}

// dirtySince is when the oldest mark that rests was made; zero for none.
func (h *hot) dirtySince() (first time.Time) {
	for _, f := range h.files {
		first = earliest(first, f.since)
	}
	return first
}

// rested puts back into the set what has rested or is asked for, and returns when more
// has. Needs the lock.
func (r *Replica) rested(now, asked time.Time) time.Time {
	return r.hot.wake(now, asked, func(m tree.Mark, since time.Time) { r.remark(m.Path, m.What, since) })
}

// noteSent looks after the files that were sent. Needs the lock.
func (r *Replica) noteSent(entries []root.Entry, dirty map[tree.Path]bool, now time.Time) {
	for _, e := range entries {
		if e.State != root.Present || dirty[e.Path] || !r.hot.sent(e, now) || now.Sub(r.hot.said) < hotSayAt {
			continue
		}
		r.hot.said = now
		r.log.Info("file never rests, it is sent once in a while", "path", string(e.Path), "every", r.hot.base)
	}
}
