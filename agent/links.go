package agent

import (
	"time"

	"syncagent/agent/root"
	"syncagent/agent/tree"
)

const (
	// maxLinks bounds the names of hard-linked files that a replica remembers.
	maxLinks = 20_000
	// linkSweepEvery bounds the sweeps that look for names nobody knows.
	linkSweepEvery = time.Minute
)

// links knows the names of files that have several. Writing through one name
// changes what all of them show, but the kernel reports the one that was used:
// without this the others would go stale on the slave.
type links struct {
	inodes map[uint64]*linked
	names  map[tree.Path]uint64
	swept  time.Time // when a sweep began last
}

type linked struct {
	names map[tree.Path]bool
	ctime int64 // of the change whose other names were marked
}

func newLinks() *links {
	return &links{inodes: map[uint64]*linked{}, names: map[tree.Path]uint64{}}
}

// seen notes that p is a name of the file. When the file changed since its
// names were last marked it returns the others, and whether some name is not
// known.
func (l *links) seen(p tree.Path, s root.Stat) (others []tree.Path, unknown bool) {
	if len(l.names) >= maxLinks {
		l.inodes, l.names = map[uint64]*linked{}, map[tree.Path]uint64{}
	}
	l.gone(p)
	f := l.inodes[s.Ino]
	if f == nil {
		f = &linked{names: map[tree.Path]bool{}}
		l.inodes[s.Ino] = f
	}
	f.names[p] = true
	l.names[p] = s.Ino
	if f.ctime == s.CtimeNs {
		return nil, false
	}
	f.ctime = s.CtimeNs
	for q := range f.names {
		if q != p {
			others = append(others, q)
		}
	}
	return others, uint64(len(f.names)) < s.Links
}

// gone forgets a name.
func (l *links) gone(p tree.Path) {
	ino, known := l.names[p]
	if !known {
		return
	}
	delete(l.names, p)
	f := l.inodes[ino]
	delete(f.names, p)
	if len(f.names) == 0 {
		delete(l.inodes, ino)
	}
}
