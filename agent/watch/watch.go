package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
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
	// Fsnotify watches every directory through inotify.
	Fsnotify Backend = "fsnotify"
	// Poll reports the whole tree as unknown at a fixed interval.
	Poll Backend = "poll"
)

// DefaultPollEvery is how often Poll reports the root unless told.
const DefaultPollEvery = time.Minute

const (
	// rootEvery is how often the root is looked at when nothing happens.
	rootEvery = 10 * time.Second
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
	// PollEvery is the interval of Poll; 0 is DefaultPollEvery.
	PollEvery time.Duration
	// Log is silent when nil.
	Log *slog.Logger
}

// Watcher watches one tree while Run runs.
type Watcher struct {
	cfg   Config
	meter meter
	pace  pace
}

// pace holds the intervals, which tests shorten.
type pace struct{ root, retry, rescan time.Duration }

// New returns a watcher; it starts nothing.
func New(cfg Config) *Watcher {
	cfg.Root = filepath.Clean(cfg.Root)
	if cfg.Excludes == nil {
		cfg.Excludes = func(tree.Path, bool) bool { return false }
	}
	if cfg.PollEvery <= 0 {
		cfg.PollEvery = DefaultPollEvery
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{cfg: cfg, pace: pace{root: rootEvery, retry: retryEvery, rescan: rescanGap}}
}

// backend is one way to learn about changes of one tree.
type backend interface {
	// run delivers events until ctx ends or the root is lost. It calls ready once
	// everything that can be watched is.
	run(ctx context.Context, ready func()) error
	// mounted says that a file system appeared or disappeared at p. It does not wait.
	mounted(p tree.Path)
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
	b, err := w.backend(dir, &outlet{sink: sink, meter: &w.meter})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.run(ctx, ready) })
	g.Go(func() error { return mounts.follow(ctx, b.mounted) })
	return g.Wait()
}

// backend sets up the configured backend. Auto falls back to polling rather than
// not to replicate at all.
func (w *Watcher) backend(dir rootDir, out *outlet) (backend, error) {
	switch w.cfg.Backend {
	case Poll:
		w.meter.chose(Poll, "configured")
		return newPoll(w.cfg, dir, out), nil
	case Fsnotify:
		w.meter.chose(Fsnotify, "configured")
		return newFsnotify(w.cfg, w.pace, dir, out)
	case Auto, "":
		b, err := newFsnotify(w.cfg, w.pace, dir, out)
		if err == nil {
			w.meter.chose(Fsnotify, "auto: the kernel reports changes of each directory")
			return b, nil
		}
		w.cfg.Log.Warn("cannot watch, polling instead", "root", dir.path, "every", w.cfg.PollEvery, "error", err)
		w.meter.chose(Poll, "auto: "+err.Error())
		return newPoll(w.cfg, dir, out), nil
	}
	return nil, fmt.Errorf("watcher %q: unknown; use auto, fsnotify or poll", w.cfg.Backend)
}
