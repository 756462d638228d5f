package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// fsnotifyBackend watches each directory through inotify. See the package
// comment for the parts of the receiver (this file) and the worker.
type fsnotifyBackend struct {
	dir      rootDir
	excludes func(p tree.Path, dir bool) bool
	pace     pace
	log      *slog.Logger
	quiet    quiet
	out      *outlet
	meter    *meter
	growth   growth
	hold     *holder

	fs  *fsnotify.Watcher
	add func(abs string) error // fs.Add but in tests

	clock  atomic.Uint64 // orders what was noticed and what was looked at
	table  *table
	jobs   *jobs
	rescan chan struct{} // holds one token while the whole tree must be looked at
	marker *marker
}

// ahead is how many events fsnotify may read before they are taken, so that the
// kernel's queue is emptied in large pieces.
const ahead = 4096

func newFsnotify(cfg Config, p pace, dir rootDir, out *outlet) (*fsnotifyBackend, error) {
	fs, err := fsnotify.NewBufferedWatcher(ahead)
	if errors.Is(err, unix.EMFILE) {
		return nil, fmt.Errorf("no inotify instance left: %w; raise fs.inotify.max_user_instances", err)
	}
	if err != nil {
		return nil, fmt.Errorf("set up inotify: %w", err)
	}
	g := growth{dir: dir, quiet: cfg.GrowQuiet}
	hold := newHolder(cfg.Growing, out, g.judge)
	out.meter.holds(hold)
	return &fsnotifyBackend{
		dir: dir, excludes: cfg.Excludes, pace: p, log: cfg.Log.With("root", dir.path), quiet: quiet{every: time.Minute},
		out: out, meter: out.meter, growth: g, hold: hold,
		fs: fs, add: fs.Add,
		table: newTable(), jobs: newJobs(), rescan: make(chan struct{}, 1), marker: newMarker(fs),
	}, nil
}

// run ends in this order: the worker, so that nobody adds a watch; fsnotify;
// and the receiver, which fsnotify may wait for until it is closed.
func (b *fsnotifyBackend) run(ctx context.Context, ready func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lost := make(chan error, 1)
	go func() { lost <- b.receive(ctx, stop) }()
	err := b.work(ctx, ready)
	defer b.marker.close()
	return errors.Join(err, b.fs.Close(), <-lost)
}

// receive takes what fsnotify reports until it is closed, whatever happens.
// It calls stop when the root is lost, and returns why at the end.
func (b *fsnotifyBackend) receive(ctx context.Context, stop func()) (lost error) {
	defer b.hold.flush()
	faults := b.fs.Errors
	var alarm alarm
	for {
		select {
		case now := <-alarm.at(b.hold.next()):
			b.hold.expire(now)
		case ev, ok := <-b.fs.Events:
			if !ok {
				return lost
			}
			if ctx.Err() != nil {
				continue
			}
			if b.marker.is(ev) {
				b.flushed()
			} else if lost = b.translate(ev); lost != nil {
				stop()
			}
		case b.marker.now = <-b.marker.sent:
		case err, ok := <-faults:
			if !ok {
				faults = nil
				continue
			}
			b.fault(err)
		}
	}
}

// translate answers one event. An error means that the root is lost.
func (b *fsnotifyBackend) translate(ev fsnotify.Event) error {
	p := b.dir.rel(ev.Name)
	switch {
	case ev.Has(fsnotify.Create):
		b.appeared(p, ev.Name)
	case ev.Has(fsnotify.Write):
		b.written(p, ev.Name, nil, OpModify|OpCloseWrite)
	case ev.Has(fsnotify.Rename), ev.Has(fsnotify.Remove):
		if p == tree.Root {
			return fmt.Errorf("%w: %s was moved or deleted", ErrRootLost, b.dir.path)
		}
		b.left(p, ev.Has(fsnotify.Rename))
	case ev.Has(fsnotify.Chmod):
		if !b.hold.has(p) {
			b.out.emit(Event{Path: p, What: tree.Attrs, Op: OpAttrib})
		}
		if why, blind := b.meter.blind.cause(p); blind {
			b.look(p, why)
		}
	}
	return nil
}

// appeared answers a new name. A directory is reported once it is watched.
func (b *fsnotifyBackend) appeared(p tree.Path, abs string) {
	var st unix.Stat_t
	switch err := unix.Lstat(abs, &st); {
	case err != nil:
		b.out.emit(Event{Path: p, What: tree.Content, Op: OpCreate | OpMoveTo})
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		if !b.excludes(p, true) {
			b.look(p, Appeared)
		}
		return
	default:
		op := OpCreate | OpMoveTo
		if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink == 1 {
			op |= OpCloseWrite // a file that is made is closed, too, and nothing says when
		}
		b.written(p, abs, &st, op)
	}
	if b.table.known(p) {
		b.look(p, Lost)
	}
}

// left answers a name that went. Fsnotify says the same when it drops the watch
// of a directory that is still there, so a directory is looked at again.
func (b *fsnotifyBackend) left(p tree.Path, moved bool) {
	what, op, kind := tree.Content, OpDelete, KindUnknown
	if moved {
		op = OpMoveFrom
	}
	if b.table.known(p) {
		kind = KindDir
		b.look(p, Lost)
		if moved {
			what |= tree.Deep
		}
		b.hold.releaseBelow(p)
	}
	b.out.emit(Event{Path: p, What: what, Gone: true, Cause: Left, Op: op, Kind: kind})
	b.hold.release(p)
}

// fault answers an error after which events may be missing.
func (b *fsnotifyBackend) fault(err error) {
	switch {
	case errors.Is(err, fsnotify.ErrEventOverflow):
		b.meter.overflows.Add(1)
		b.quiet.warn(b.log, "event queue overflowed, looking at the whole tree; raise fs.inotify.max_queued_events")
	case errors.Is(err, unix.EINVAL):
		// The directory whose watch fsnotify wanted to remove, since it had moved, was
		// deleted meanwhile. The Rename of its old path follows all the same.
		return
	default:
		b.quiet.warn(b.log, "watching failed for a moment, looking at the whole tree", "error", err)
	}
	b.out.emit(Event{Path: tree.Root, What: tree.Deep, Cause: Overflow})
	b.lookAtAll()
}

func (b *fsnotifyBackend) mounted(p tree.Path) { b.look(p, Mounted) }

// look asks the worker to look at p. It never waits.
func (b *fsnotifyBackend) look(p tree.Path, cause Cause) {
	b.log.Debug("directory changed", "path", p, "cause", cause)
	added, full := b.jobs.put(job{path: p, cause: cause, at: b.clock.Add(1)})
	b.meter.unsettled.Add(int64(added))
	if full {
		b.lookAtAll()
	}
}

// lookAtAll asks the worker for a rescan. It never waits.
func (b *fsnotifyBackend) lookAtAll() {
	select {
	case b.rescan <- struct{}{}:
		b.meter.unsettled.Add(1)
		b.jobs.tally.rescanAsked()
	default:
	}
}
