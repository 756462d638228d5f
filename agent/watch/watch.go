package watch

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"syncagent/agent/tree"
)

// ErrRootLost is wrapped by Run's error when the root itself is missing or was
// deleted, moved, replaced or unmounted. The caller checks the root's identity
// and calls Run again.
var ErrRootLost = errors.New("the watched root is not what it was")

// Backend names a way to learn about changes.
type Backend string

const (
	// Auto takes the best that works here.
	Auto Backend = "auto"
	// Fanotify has the kernel report a file system as a whole.
	Fanotify Backend = "fanotify"
	// Fsnotify watches every directory through inotify.
	Fsnotify Backend = "fsnotify"
	// Poll reports the whole tree as unknown at a fixed interval.
	Poll Backend = "poll"
)

// What a Config means when it does not say.
const (
	// DefaultPollEvery is how often what nothing reports is due.
	DefaultPollEvery = time.Minute
	// DefaultGrowing is how long a file that is being written is held back at most.
	DefaultGrowing = 30 * time.Second
	// DefaultGrowQuiet is how long a file must keep its size.
	DefaultGrowQuiet = 2 * time.Millisecond
)

const (
	// rootEvery is how often the root is looked at when nothing happens. Fanotify
	// tells of all but that something above the mount of the root has moved, so
	// there it is looked at more rarely. Each look wakes some threads.
	rootEvery    = 30 * time.Second
	fanRootEvery = 5 * time.Minute
	// retryEvery is how often subtrees that are not watched are reported and tried again.
	retryEvery = time.Minute
	// rescanGap is the least time between the end of one rescan and the next.
	rescanGap = time.Second
)

// Config says what to watch and how.
type Config struct {
	// Root is absolute and resolved: no component is a symlink.
	Root string
	// Excludes names what is not to be watched; nil excludes nothing. It is asked
	// for directories only. An excluded directory is never watched nor read.
	// Called from several goroutines.
	Excludes func(p tree.Path, dir bool) bool
	// Backend is Auto when empty.
	Backend Backend
	// PollEvery is the interval of Poll, and of the reports of file systems that other
	// hosts write to; 0 is DefaultPollEvery.
	PollEvery time.Duration
	// Growing is how long a file that is being written is held back at most, before
	// it is reported as it is; 0 is DefaultGrowing.
	Growing time.Duration
	// GrowQuiet is how long a file must keep its size to count as written, where the
	// kernel does not say that it was closed; large files must for longer. 0 is
	// DefaultGrowQuiet.
	GrowQuiet time.Duration
	// Log is silent when nil.
	Log *slog.Logger
}

// Watcher watches one tree while Run runs.
type Watcher struct {
	cfg   Config
	meter meter
	pace  pace
	live  atomic.Pointer[live]
}

// pace holds the intervals, which tests shorten.
type pace struct{ root, fanRoot, retry, rescan time.Duration }

// New returns a watcher; it starts nothing.
func New(cfg Config) *Watcher {
	cfg.Root = filepath.Clean(cfg.Root)
	if cfg.Excludes == nil {
		cfg.Excludes = func(tree.Path, bool) bool { return false }
	}
	cfg.PollEvery = orElse(cfg.PollEvery, DefaultPollEvery)
	cfg.Growing = orElse(cfg.Growing, DefaultGrowing)
	cfg.GrowQuiet = orElse(cfg.GrowQuiet, DefaultGrowQuiet)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{cfg: cfg, pace: pace{root: rootEvery, fanRoot: fanRootEvery, retry: retryEvery, rescan: rescanGap}}
}

func orElse(d, byDefault time.Duration) time.Duration {
	if d <= 0 {
		return byDefault
	}
	return d
}

// backend is one way to learn about changes of one tree.
type backend interface {
	// run delivers events until ctx ends or the root is lost. It calls ready once
	// everything that can be watched is.
	run(ctx context.Context, ready func()) error
	// mounted says that a file system appeared or disappeared at p. It does not wait.
	mounted(p tree.Path)
	// flush waits until what changed before the call was handed out, and returns
	// since when the oldest file is held back.
	flush(ctx context.Context) (growing time.Time, err error)
}

// Run watches the tree and hands every event to sink, one at a time, until ctx
// ends (nil) or watching is impossible. It calls ready once, when the whole tree
// is watched; events may come before. Sink must be quick, since events queue in
// the kernel meanwhile; it is never called after Run returned. After Run
// returned it may be called again, but never twice at a time.
func (w *Watcher) Run(ctx context.Context, sink func(Event), ready func()) error {
	dir := rootDir{path: w.cfg.Root}
	if err := dir.pin(); err != nil {
		return err
	}
	w.meter.reset()
	mounts, err := openMounts(dir)
	if err != nil {
		w.cfg.Log.Warn("mounts below the root will not be noticed", "root", dir.path, "error", err)
	}
	defer mounts.close()
	out := &outlet{sink: sink, meter: &w.meter}
	defer out.close()
	b, err := w.choose(dir, out)
	if err != nil {
		return err
	}
	sweeps := newSweeper(w.cfg, out)
	g, ctx := errgroup.WithContext(ctx)
	l := &live{ctx: ctx, backend: b, mounts: mounts, outgoing: out, unseen: sweeps.paths, mounted: func(p tree.Path) {
		sweeps.mounted()
		b.mounted(p)
	}}
	w.live.Store(l) // before ready is called
	defer w.live.Store(nil)
	g.Go(func() error { return b.run(ctx, ready) })
	if _, polls := b.(*pollBackend); !polls {
		g.Go(func() error { return sweeps.run(ctx) })
	}
	g.Go(func() error { return mounts.follow(ctx, l.mounted) })
	return g.Wait()
}

// Growing returns the files at and below p that are held back since somebody
// writes them, in no order. What is sent of them now would be a part only.
func (w *Watcher) Growing(p tree.Path) []tree.Path { return w.meter.growing().below(p) }
