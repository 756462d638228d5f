package watch

import (
	"context"
	"errors"
	"slices"
	"time"

	"syncagent/agent/tree"
)

// ErrNotWatching: no run is under way that could tell of changes.
var ErrNotWatching = errors.New("the tree is not being watched")

// live is a run that can be flushed.
type live struct {
	ctx      context.Context
	backend  backend
	mounts   *mounts
	mounted  func(tree.Path)
	unseen   func() []tree.Path // what nothing reports all changes of
	outgoing *outlet
}

// Flush returns once every change that was made before the call has been handed to
// the sink, by name or by a mark of a directory above it; with it it marks what
// is not watched. What is held back since somebody writes it is named by Growing,
// and growing says since when the oldest is; zero when there is nothing. It fails
// when no run is under way, or when it ends meanwhile.
//
// It is a proof, not a wait: what the kernel has queued by the time of the call is
// counted (fanotify), or a marker follows it through the queue (fsnotify). Nothing is
// written into the tree.
func (w *Watcher) Flush(ctx context.Context) (growing time.Time, err error) {
	l := w.live.Load()
	if l == nil {
		return time.Time{}, ErrNotWatching
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.ctx, func() { cancel(ErrNotWatching) })()
	if err := l.mounts.compare(l.mounted); err != nil {
		return time.Time{}, err
	}
	growing, err = l.backend.flush(ctx)
	if err != nil {
		return time.Time{}, err
	}
	for _, p := range slices.Concat(l.unseen(), w.meter.blind.list()) {
		l.outgoing.emit(Event{Path: p, What: tree.Content | tree.Deep, Cause: Polled})
	}
	return growing, context.Cause(ctx)
}

// flush is one call on its way through a backend.
type flush struct {
	done    chan struct{}
	growing time.Time
}

// answered waits for the backend to answer.
func (f *flush) answered(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
