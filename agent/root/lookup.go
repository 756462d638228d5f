package root

import (
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// State says what a look-up found.
type State uint8

const (
	// Present: there is an entry, Stat says which.
	Present State = iota
	// Missing: there is none.
	Missing
	// Unreadable: it could not be found out, Err says why. Never a reason to
	// delete.
	Unreadable
)

// String returns the state's name in lower case.
func (s State) String() string {
	return [...]string{"present", "missing", "unreadable"}[s]
}

// Entry is what one or several marks of a batch came to.
type Entry struct {
	Path tree.Path
	// What the marks, together, say. A present non-directory has no Deep and no Other. A missing entry
	// has it when any mark was deep or lay below, so that Path and What make a mark that
	// covers them all, should the entry come back.
	What  tree.What
	State State
	Stat  Stat // if Present
	// Marks counts the batch's marks that this entry stands for. Of a Missing
	// entry: how many entries were seen going.
	Marks int
	// Batch holds these marks: what has to go back into the dirty set if the entry
	// fails.
	Batch tree.Batch
	// Unseen: the entry is Missing and one of its marks was deep, so nobody knows
	// how much goes with it.
	Unseen bool
	Err    error // if Unreadable
}

// maxOpen bounds the descriptors of one Lookup, however deep the tree is.
const maxOpen = 64

// Lookup looks at each marked path, from the root's own descriptor and without
// following symlinks. The result is sorted by tree.Compare, holds each path once and
// nothing below anything but a present directory:
//
//   - a mark below something that is not a directory becomes a Content mark of that
//     ancestor;
//   - a missing path is lifted to its topmost missing ancestor;
//   - below a present directory with a deep mark nothing else stands.
//
// Only unreadable entries keep their own path wherever it is. It fails as a whole,
// with tree.ErrPath, when the batch holds what is no path, and with ErrChanged when the root's
// path does not lead to this root any more.
func (r *Root) Lookup(b tree.Batch) ([]Entry, error) {
	b, err := canonical(b)
	if err != nil {
		return nil, fmt.Errorf("look up marks below %q: %w", r.path, err)
	}
	l := lookup{root: r, batch: b, out: make([]Entry, 0, len(b))}
	defer l.close(0)
	for i := range b {
		l.mark(i)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("look up marks below %q: %w", r.path, err)
	}
	return l.out, nil
}

// canonical returns b sorted, each path once; b itself where it is so already.
func canonical(b tree.Batch) (tree.Batch, error) {
	ordered := true
	for i, m := range b {
		if _, err := tree.ParsePath(string(m.Path)); err != nil {
			return nil, err
		}
		ordered = ordered && (i == 0 || tree.Compare(b[i-1].Path, m.Path) < 0)
	}
	if ordered {
		return b, nil
	}
	b = slices.Clone(b)
	slices.SortFunc(b, func(x, y tree.Mark) int { return tree.Compare(x.Path, y.Path) })
	unique := b[:0]
	for _, m := range b {
		if n := len(unique); n > 0 && unique[n-1].Path == m.Path {
			unique[n-1].What |= m.What
			continue
		}
		unique = append(unique, m)
	}
	return unique, nil
}

type lookup struct {
	root  *Root
	batch tree.Batch
	out   []Entry
	open  []openDir // each above the next
	// broken is the ancestor that could not be entered: below it nothing is tried
	// again, since each try may take as long as a dead server's timeout.
	broken step
}

type openDir struct {
	path tree.Path
	fd   int
}

// mark looks at the mark batch[i] and adds to the result.
func (l *lookup) mark(i int) {
	m := l.batch[i]
	if n := len(l.out); n > 0 && l.out[n-1].covers(m) {
		l.out[n-1].join(l.batch, i)
		return
	}
	end := l.at(m.Path)
	if end.err != nil && end.err != unix.ENOENT {
		l.unreadable(i, end)
		return
	}
	l.found(i, end)
}

// at looks at p.
func (l *lookup) at(p tree.Path) step {
	if l.broken.err != nil && l.broken.path.Contains(p) {
		return l.broken
	}
	dir, end := l.dir(p.Parent())
	if dir < 0 {
		return end
	}
	end = statAt(dir, p)
	if end.err == unix.ENOENT {
		// dir may have been replaced since it was opened: only the root's
		// descriptor says what is missing
		return l.root.walk(p)
	}
	return end
}

// dir returns a descriptor of the directory p that stays open while the marks are
// below it.
func (l *lookup) dir(p tree.Path) (int, step) {
	if p == tree.Root {
		l.close(0)
		return l.root.fd, step{}
	}
	keep := len(l.open)
	for keep > 0 && !l.open[keep-1].path.Contains(p) {
		keep--
	}
	l.close(keep)
	if keep > 0 && l.open[keep-1].path == p {
		return l.open[keep-1].fd, step{}
	}
	fd, end := l.root.openDir(p)
	if fd < 0 {
		return fd, end
	}
	if keep == maxOpen {
		l.close(keep - 1)
	}
	l.open = append(l.open, openDir{p, fd})
	return fd, step{}
}

// close closes all but the first n open directories.
func (l *lookup) close(n int) {
	for _, d := range l.open[n:] {
		l.root.closeDir(d.fd)
	}
	l.open = l.open[:n]
}

func (l *lookup) unreadable(i int, end step) {
	m := l.batch[i]
	if end.path != m.Path {
		l.broken = end
	}
	l.out = append(l.out, Entry{
		Path: m.Path, What: m.What, State: Unreadable, Marks: 1, Batch: l.batch[i : i+1],
		Err: &fs.PathError{Op: "look up", Path: string(end.path), Err: end.err},
	})
}

// found adds the entry that the mark batch[i] led to. What already stands at or
// below it was looked at before the tree changed: its marks join the new entry.
func (l *lookup) found(i int, end step) {
	e := Entry{Path: end.path, Stat: end.stat}
	if end.err != nil {
		e.State = Missing
	}
	first := i
	for n := len(l.out); n > 0 && e.Path.Contains(l.out[n-1].Path); n-- {
		first -= len(l.out[n-1].Batch)
		l.out = l.out[:n-1]
	}
	e.Batch = l.batch[first:first]
	for j := first; j <= i; j++ {
		e.join(l.batch, j)
	}
	l.out = append(l.out, e)
}

// covers reports whether a later mark m says nothing that the entry, once it has
// joined it, does not say.
func (e *Entry) covers(m tree.Mark) bool {
	if e.State == Unreadable || !e.Path.Contains(m.Path) {
		return false
	}
	return e.State == Missing || !e.Stat.IsDir() || e.What&tree.Deep != 0
}

// join adds the mark batch[i], which follows the entry's own in the batch.
func (e *Entry) join(batch tree.Batch, i int) {
	e.Batch = batch[i-len(e.Batch) : i+1]
	e.Marks = len(e.Batch)
	m := batch[i]
	what := m.What
	if m.Path != e.Path {
		what = tree.Content | tree.Deep | m.What&tree.Other
	}
	switch {
	case e.State == Missing:
		e.Unseen = e.Unseen || m.What&tree.Deep != 0
		e.What |= what | tree.Content
	case e.Stat.IsDir():
		if m.Path == e.Path {
			e.What |= what
		} else {
			e.What |= m.What & tree.Other
		}
	case what&tree.Deep != 0:
		e.What |= what&^(tree.Deep|tree.Other) | tree.Content
	default:
		e.What |= what
	}
}
