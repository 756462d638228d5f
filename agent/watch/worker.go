package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

var (
	// errTwice: the directory is watched under another name that is as good.
	errTwice = errors.New("the same directory stands elsewhere in the tree")
	// errRestless: another directory stood there each time.
	errRestless = errors.New("the directory was exchanged again and again")
)

// standTries is how often a directory that is exchanged meanwhile is tried.
const standTries = 3

// work sets up the watches of the whole tree and then does jobs until ctx ends
// or the root is lost.
func (b *fsnotifyBackend) work(ctx context.Context, ready func()) error {
	b.reconcile(ctx, tree.Root)
	if ctx.Err() != nil {
		return nil
	}
	if err := b.dir.lost(); err != nil {
		return err
	}
	ready()
	check, retry := time.NewTicker(b.pace.root), time.NewTicker(b.pace.retry)
	defer check.Stop()
	defer retry.Stop()
	rescan := b.rescan       // not read while one is due anyway
	var due <-chan time.Time // when that one may start
	var last time.Time       // when the one before ended
	var took time.Duration   // how long it took, and the next must wait
	for {
		var err error
		again := retry.C
		if !b.meter.blind.any() {
			again = nil // a timer that nobody waits for wakes nobody
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.jobs.wake:
			err = b.doJob(ctx)
		case <-check.C:
			err = b.dir.lost()
		case <-again:
			err = b.retryBlind(ctx)
		case <-rescan:
			rescan, due = nil, time.After(max(b.pace.rescan, took)-time.Since(last))
		case begun := <-due:
			err = b.rescanAll(ctx)
			rescan, due, last, took = b.rescan, nil, time.Now(), time.Since(begun)
		}
		if err != nil {
			return err
		}
	}
}

// rescanAll looks at the whole tree: what was created unseen gets its watches.
// The root is reported once more, since a directory could change unseen after
// the overflow was reported and before it was watched.
func (b *fsnotifyBackend) rescanAll(ctx context.Context) error {
	begun := time.Now()
	b.jobs.tally.rescanBegun()
	b.reconcile(ctx, tree.Root)
	if err := b.dir.lost(); err != nil {
		return err
	}
	b.out.emit(Event{Path: tree.Root, What: tree.Deep, Cause: Overflow})
	b.meter.unsettled.Add(-1)
	b.jobs.tally.rescanDone()
	b.log.Info("looked at the whole tree", "directories", b.table.watched(), "took", time.Since(begun))
	return nil
}

// doJob does the oldest job, if any. A directory that was looked at since the job
// was put, as part of one above it, is not looked at again.
func (b *fsnotifyBackend) doJob(ctx context.Context) (err error) {
	j, ok := b.jobs.next()
	if !ok {
		return nil
	}
	if b.table.seen(j.path) < j.at {
		err = b.answer(ctx, j.path, j.cause)
	}
	b.meter.unsettled.Add(-1)
	b.jobs.tally.jobDone()
	return err
}

// answer makes the watches at and below p right, then reports p. An error means
// that p is missing because the root is lost.
func (b *fsnotifyBackend) answer(ctx context.Context, p tree.Path, cause Cause) error {
	b.reconcile(ctx, p)
	if b.table.known(p) {
		e := Event{Path: p, What: tree.Content | tree.Deep, Cause: cause}
		if cause == Appeared {
			e.Op, e.Kind = OpCreate|OpMoveTo, KindDir
		}
		if cause == Appeared || cause == Lost {
			e.What |= tree.Other
		}
		b.out.emit(e)
		return nil
	}
	if err := b.dir.lost(); err != nil {
		return err
	}
	if cause != Lost {
		b.out.emit(Event{Path: p, What: tree.Content, Cause: cause})
	}
	return nil
}

// retryBlind reports each subtree that is not watched and tries to watch it. With
// no watches left after one, the others are not tried.
func (b *fsnotifyBackend) retryBlind(ctx context.Context) error {
	full := false
	for _, p := range b.meter.blind.list() {
		why, _ := b.meter.blind.cause(p)
		if ctx.Err() != nil {
			return nil
		}
		if full && why == NoWatches {
			b.out.emit(Event{Path: p, What: tree.Content | tree.Deep, Cause: why})
			continue
		}
		if err := b.answer(ctx, p, why); err != nil {
			return err
		}
		now, blind := b.meter.blind.cause(p)
		full = full || blind && now == NoWatches
	}
	return nil
}

// reconcile makes the watches at and below p equal to the directories there.
func (b *fsnotifyBackend) reconcile(ctx context.Context, p tree.Path) {
	begun := b.clock.Add(1)
	// Only mount points are found by other means than reading the directory above.
	if !excludedAt(b.excludes, p) {
		b.walk(ctx, p)
	}
	if ctx.Err() == nil {
		b.drop(b.table.prune(p, begun))
		b.meter.blind.expire(p, begun)
	}
	b.meter.dirs.Store(int64(b.table.watched()))
}

// walk watches p and every directory below it, each before it is read.
func (b *fsnotifyBackend) walk(ctx context.Context, p tree.Path) {
	todo := []tree.Path{p}
	for len(todo) > 0 && ctx.Err() == nil {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		b.table.reserve(p, b.clock.Add(1))
		f, err := b.stand(p)
		if err == nil {
			err = subdirs(f, func(name string) {
				if kid := p.Join(name); !b.excludes(kid, true) {
					todo = append(todo, kid)
				}
			})
		}
		if err != nil {
			b.fail(p, err)
		}
	}
}

// stand puts the watch on the directory that stands at p and returns it opened.
// Whatever is exchanged at p after it was compared is reported to the watch of
// the directory above, and answered by another look.
func (b *fsnotifyBackend) stand(p tree.Path) (*os.File, error) {
	for range standTries {
		f, id, err := b.dir.open(p)
		if err != nil {
			return nil, err
		}
		if err = b.watch(p, id); err == nil {
			var now inode
			if now, err = b.dir.identify(p); err == nil && now == id {
				return f, nil
			}
		}
		f.Close()
		if err != nil && !absent(err) {
			return nil, err
		}
	}
	return nil, errRestless
}

// watch adds the watch of p, after everything that could confuse fsnotify: an
// older watch of this path, and one of this directory under the path it had.
func (b *fsnotifyBackend) watch(p tree.Path, id inode) error {
	b.unwatch(p)
	if q, ok := b.table.owner(id); ok {
		if now, err := b.dir.identify(q); err == nil && now == id {
			return fmt.Errorf("%w: as %q", errTwice, q)
		}
		b.unwatch(q)
	}
	b.table.claim(p, id)
	err := b.add(b.dir.abs(p))
	if err != nil {
		b.table.release(p)
	}
	return err
}

func (b *fsnotifyBackend) unwatch(p tree.Path) {
	if b.table.release(p) {
		b.drop([]tree.Path{p})
	}
}

// drop removes watches. An error only says that it was gone before.
func (b *fsnotifyBackend) drop(paths []tree.Path) {
	for _, p := range paths {
		_ = b.fs.Remove(b.dir.abs(p))
	}
}

// fail answers that the directory p could not be watched or read. What is gone
// is left to be pruned; the rest is reported now and from time to time.
func (b *fsnotifyBackend) fail(p tree.Path, err error) {
	cause := Unreadable
	switch {
	case absent(err):
		b.drop(b.table.prune(p, ^uint64(0)))
		return
	case errors.Is(err, unix.ENOSPC):
		cause = NoWatches
		b.quiet.warn(b.log, "no inotify watches left, reporting what is not watched once a minute", "path", p, "remedy", raiseWatches())
	default:
		b.quiet.warn(b.log, "cannot watch a directory, reporting it once a minute", "path", p, "error", err)
	}
	b.meter.blind.add(p, cause, b.clock.Load())
	b.out.emit(Event{Path: p, What: tree.Content | tree.Deep, Cause: cause})
}
