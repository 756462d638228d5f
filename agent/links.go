package agent

import (
	"maps"
	"slices"
	"time"

	"syncagent/agent/root"
	"syncagent/agent/tree"
)

const (
	// maxLinks bounds the names of hard-linked files that a replica remembers.
	maxLinks = 20_000
	// linkSweepEvery and linkSweepShare bound the sweeps that look for names
	// nobody knows: so long apart, and so many times as long as one takes.
	linkSweepEvery = 5 * time.Second
	linkSweepShare = 20
)

// links knows the names of files that have several. Writing through one name
// changes what all of them show, but the kernel reports the one that was used:
// without this the others would go stale on the slave.
type links struct {
	inodes map[uint64]linked
	names  map[tree.Path]uint64
	fresh  map[tree.Path]bool // names seen of files with several, not looked at since
	swept  time.Time          // when a sweep began last
	last   time.Duration
	took   time.Duration // as a rule, see sweepTook
}

// linked holds the known names of one file, each with the change time, in
// nanoseconds since 1970, that was looked at under it. Files of two file systems
// may share one, which costs a run too many and no more.
type linked map[tree.Path]int64

func newLinks() *links {
	return &links{inodes: map[uint64]linked{}, names: map[tree.Path]uint64{}, fresh: map[tree.Path]bool{}}
}

// seen notes that p is a name of the file. When the file changed since it was
// looked at under that name, it returns the names under which it was not yet.
func (l *links) seen(p tree.Path, s root.Stat) (others []tree.Path, changed bool) {
	if len(l.names) >= maxLinks {
		l.inodes, l.names = map[uint64]linked{}, map[tree.Path]uint64{}
	}
	if l.names[p] != s.Ino {
		l.gone(p)
	}
	f := l.inodes[s.Ino]
	if f == nil {
		f = linked{}
		l.inodes[s.Ino] = f
	}
	was, known := f[p]
	f[p], l.names[p] = s.CtimeNs, s.Ino
	if known && was == s.CtimeNs {
		return nil, false
	}
	for q, at := range f {
		if at != s.CtimeNs {
			others = append(others, q)
		}
	}
	return others, true
}

// lacks reports whether the file has names that are not known.
func (l *links) lacks(s root.Stat) bool { return uint64(len(l.inodes[s.Ino])) < s.Links }

// sweepAt is when the next sweep for unknown names may begin.
func (l *links) sweepAt() time.Time {
	return l.swept.Add(max(linkSweepEvery, linkSweepShare*l.took))
}

// sweepTook notes how long a sweep took. One that a hanging slave held up is
// no measure, so the shorter of the last two counts.
func (l *links) sweepTook(d time.Duration) {
	l.took = d
	if l.last > 0 {
		l.took = min(d, l.last)
	}
	l.last = d
}

// gone forgets a name, and returns the others of its file: what was written under
// that name last, nobody looked at.
func (l *links) gone(p tree.Path) (others []tree.Path) {
	ino, known := l.names[p]
	if !known {
		return nil
	}
	l.forget(p, ino)
	return slices.Collect(maps.Keys(l.inodes[ino]))
}

// goneBelow is gone for all names at and below paths.
func (l *links) goneBelow(paths map[tree.Path]bool) (others []tree.Path) {
	if len(paths) == 0 {
		return nil
	}
	files := map[uint64]bool{}
	for p, ino := range l.names {
		if covered(paths, p) {
			files[ino] = true
			l.forget(p, ino)
		}
	}
	for ino := range files {
		others = append(others, slices.Collect(maps.Keys(l.inodes[ino]))...)
	}
	return others
}

func (l *links) forget(p tree.Path, ino uint64) {
	delete(l.names, p)
	delete(l.inodes[ino], p)
	if len(l.inodes[ino]) == 0 {
		delete(l.inodes, ino)
	}
}
