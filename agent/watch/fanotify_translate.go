package watch

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// translate answers one event. The kernel merges those of one entry that wait in
// its queue, so any bits may come together and their order is unknown; what is
// reported for each bit is right whatever the order was. An error that wraps
// errUnclear says that the event could not be followed; any other ends the run.
func (b *fanotifyBackend) translate(v *volume, ev fanEvent) error {
	dir := ev.mask&unix.FAN_ONDIR != 0
	switch {
	case ev.mask&unix.FAN_Q_OVERFLOW != 0:
		return b.overflow(v)
	case ev.mask&(unix.FAN_RENAME|fanMoves) != 0:
		return b.renamed(v, ev, dir)
	}
	parents, err := b.find(v, ev.at.dir)
	if err != nil {
		return err
	}
	if len(parents) == 0 {
		if ev.mask&unix.FAN_DELETE != 0 && v.gone[string(ev.at.dir)] {
			b.unplaced.add(time.Now())
		}
		if dir && ev.mask&unix.FAN_DELETE != 0 {
			return b.rootMoved(v, ev.at)
		}
		return nil
	}
	for _, parent := range parents {
		p := entry(parent, ev.at.name)
		if ev.mask&unix.FAN_DELETE != 0 {
			b.left(p, dir, b.deleted(dir), OpDelete)
		}
		if dir {
			b.changedDir(p, ev.mask)
		} else {
			b.changedFile(p, ev)
		}
	}
	return nil
}

// entry returns the path of a directory's entry, or its own for ".".
func entry(dir tree.Path, name []byte) tree.Path {
	if string(name) == "." {
		return dir
	}
	return dir.Join(string(name))
}

// changedDir answers what happened to a directory that is there. A new one is
// reported with its subtree, although no event below it is missed: one deep mark
// takes the place of those of thousands of files, if it is a tree being copied.
func (b *fanotifyBackend) changedDir(p tree.Path, mask uint64) {
	switch {
	case p != tree.Root && b.excludes(p, true):
	case mask&unix.FAN_CREATE != 0:
		b.out.emit(Event{Path: p, What: tree.Content | tree.Deep, Cause: Appeared, Op: OpCreate, Kind: KindDir}) // where none is
	case mask&unix.FAN_ATTRIB != 0:
		b.out.emit(Event{Path: p, What: tree.Attrs, Op: OpAttrib, Kind: KindDir})
	}
}

// changedFile answers what happened to an entry that is not a directory. What is
// being written waits until it is closed.
func (b *fanotifyBackend) changedFile(p tree.Path, ev fanEvent) {
	switch {
	case ev.mask&unix.FAN_CLOSE_WRITE != 0:
		if !b.unnamed(p, ev.at.name) {
			b.finished(p, opsOf(ev.mask))
		}
	case ev.mask&unix.FAN_CREATE != 0:
		b.created(p, ev)
	case ev.mask&unix.FAN_MODIFY != 0:
		b.hold.hold(p, held{writer: ev.pid, op: OpModify}, askFirst)
	case ev.mask&unix.FAN_ATTRIB != 0 && !b.hold.has(p):
		b.out.emit(Event{Path: p, What: tree.Attrs, Op: OpAttrib, Kind: KindFile})
	}
}

// opsOf are the reports about a file that came together.
func opsOf(mask uint64) Op {
	var ops Op
	for _, o := range [...]struct {
		bit uint64
		op  Op
	}{{unix.FAN_CREATE, OpCreate}, {unix.FAN_CLOSE_WRITE, OpCloseWrite}, {unix.FAN_MODIFY, OpModify}, {unix.FAN_ATTRIB, OpAttrib}} {
		if mask&o.bit != 0 {
			ops |= o.op
		}
	}
	return ops
}

// finished reports a file that nobody will write to for now.
func (b *fanotifyBackend) finished(p tree.Path, op Op) {
	var st unix.Stat_t
	if unix.Lstat(b.dir.abs(p), &st) == nil {
		b.out.linked(p, &st)
	}
	b.out.emit(Event{Path: p, What: tree.Content, Finished: true, Op: b.hold.learn(p, op), Kind: KindFile})
	b.hold.release(p)
}

// created answers a new name that was not closed yet. An open file that was made
// will be; a link, a symlink and a special file will not.
func (b *fanotifyBackend) created(p tree.Path, ev fanEvent) {
	var st unix.Stat_t
	switch err := unix.Lstat(b.dir.abs(p), &st); {
	case absent(err): // an event of its own says so
	case err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink == 1:
		b.hold.hold(p, held{writer: ev.pid, op: opsOf(ev.mask)}, askFirst)
	default:
		b.finished(p, opsOf(ev.mask))
	}
}

// unnamed reports whether p is a file that was opened with O_TMPFILE and has no
// name: the kernel calls it by its inode number behind a hash sign.
func (b *fanotifyBackend) unnamed(p tree.Path, name []byte) bool {
	var st unix.Stat_t
	return name[0] == '#' && absent(unix.Lstat(b.dir.abs(p), &st))
}

// left reports an entry that was deleted or moved away.
func (b *fanotifyBackend) left(p tree.Path, dir bool, what tree.What, op Op) {
	if dir && b.excludes(p, true) {
		what = tree.Content
	}
	b.out.emit(Event{Path: p, What: what, Gone: true, Cause: Left, Op: op, Kind: kindOf(dir)})
	if dir {
		b.hold.releaseBelow(p)
	} else {
		b.hold.release(p)
	}
}

func kindOf(dir bool) Kind {
	if dir {
		return KindDir
	}
	return KindFile
}

// deleted is what to mark of a deleted entry. A directory was empty by then, but
// if it went quickly the deletes of what was in it could not be placed any more:
// then nobody has seen how much went with it.
func (b *fanotifyBackend) deleted(dir bool) tree.What {
	if dir && b.unplaced.many(time.Now()) {
		return tree.Content | tree.Deep
	}
	return tree.Content
}

// unplaced counts deletes in directories that are gone.
type unplaced struct {
	n    int
	last time.Time
}

const (
	unplacedFor = time.Second // after the last one
	unplacedFew = 8           // so many do not matter to anybody who counts
)

func (u *unplaced) add(now time.Time) {
	if now.Sub(u.last) > unplacedFor {
		u.n = 0
	}
	u.n++
	u.last = now
}

func (u *unplaced) many(now time.Time) bool {
	return u.n > unplacedFew && now.Sub(u.last) <= unplacedFor
}

// renamed answers FAN_RENAME, or one half of it from an older kernel.
func (b *fanotifyBackend) renamed(v *volume, ev fanEvent, dir bool) error {
	from, to := ev.old, ev.at
	switch {
	case ev.mask&unix.FAN_RENAME != 0:
	case ev.mask&unix.FAN_MOVED_TO == 0:
		from, to = ev.at, fanName{}
	case ev.mask&unix.FAN_MOVED_FROM != 0: // of one name in turns
		from = ev.at
	}
	was, err := b.find(v, from.dir)
	if err != nil {
		return err
	}
	is, err := b.find(v, to.dir)
	if err != nil {
		return err
	}
	what := tree.Content
	if dir {
		what |= tree.Deep
		if err := b.dirMoved(v, from, to, len(was)+len(is) > 0); err != nil {
			return err
		}
	}
	for _, parent := range was {
		b.left(entry(parent, from.name), dir, what, OpMoveFrom)
	}
	var before tree.Path
	if dir && len(was) == 1 && len(is) == 1 {
		before = entry(was[0], from.name)
	}
	for _, parent := range is {
		b.arrived(entry(parent, to.name), before, dir, what)
	}
	return nil
}

// arrived reports an entry that was moved here.
func (b *fanotifyBackend) arrived(p, from tree.Path, dir bool, what tree.What) {
	switch {
	case !dir:
		b.finished(p, OpMoveTo)
	case !b.excludes(p, true):
		b.out.emit(Event{Path: p, From: from, What: what | tree.Other, Cause: Appeared, Op: OpMoveTo, Kind: KindDir})
	}
}

// dirMoved makes sure that nothing is known wrongly after a directory moved:
// paths of what is below it, places of mounts below it, the root itself. Moves
// outside of the tree change no path within it unless they take the root along.
func (b *fanotifyBackend) dirMoved(v *volume, from, to fanName, within bool) error {
	if within {
		v.cache.clear()
		if b.mountsBelow() {
			return b.remount(false)
		}
		return nil
	}
	if err := b.rootMoved(v, from); err != nil {
		return err
	}
	return b.rootMoved(v, to)
}

func (b *fanotifyBackend) mountsBelow() bool {
	for _, v := range b.volumes {
		for _, s := range v.spots {
			if s.path != tree.Root {
				return true
			}
		}
	}
	return false
}

// rootMoved returns ErrRootLost, wrapped, if the named directory was the root or
// held it. That it may be back does not help: events could not be told from those
// of others meanwhile.
func (b *fanotifyBackend) rootMoved(v *volume, n fanName) error {
	held, err := b.holdsRoot(v, n)
	if err == nil && held {
		err = fmt.Errorf("%w: %s was moved or deleted", ErrRootLost, b.dir.path)
	}
	return err
}
