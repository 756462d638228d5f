package watch

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// marker is a file in memory alone that is watched with the tree: a change of its
// mode follows everything that was queued before it through the kernel's queue
// and fsnotify's, which both keep the order.
type marker struct {
	file *os.File
	name string        // as fsnotify calls it
	turn chan struct{} // held by the one flush whose change is on its way
	sent chan *flush   // to the receiver, before the change
	now  *flush        // what the receiver waits for
	err  error         // why there is none
}

// newMarker watches a marker with fs.
func newMarker(fs *fsnotify.Watcher) *marker {
	m := &marker{turn: make(chan struct{}, 1), sent: make(chan *flush)}
	fd, err := unix.MemfdCreate("syncagent-marker", unix.MFD_CLOEXEC)
	if err != nil {
		m.err = fmt.Errorf("make a marker: %w", err)
		return m
	}
	m.file = os.NewFile(uintptr(fd), "marker")
	m.name = fmt.Sprintf("/proc/self/fd/%d", fd)
	m.err = m.change()
	if err := fs.Add(m.name); err != nil {
		m.err = fmt.Errorf("watch a marker: %w", err)
	}
	return m
}

func (m *marker) change() error {
	if err := m.file.Chmod(0o600); err != nil {
		return fmt.Errorf("send a marker: %w", err)
	}
	return nil
}

func (m *marker) close() {
	if m.file != nil {
		m.file.Close()
	}
}

// is reports whether the event is the marker's. A change whose flush nobody waits
// for any more answers none: the next one has its turn only after it.
func (m *marker) is(ev fsnotify.Event) bool { return m.err == nil && ev.Name == m.name }

// flush sends the marker through the queues, then waits for the looks at
// directories that what was before it asked for.
func (b *fsnotifyBackend) flush(ctx context.Context) (time.Time, error) {
	f := &flush{done: make(chan struct{})}
	if err := b.mark(ctx, f); err != nil {
		return time.Time{}, err
	}
	if err := f.answered(ctx); err != nil {
		return time.Time{}, err
	}
	return f.growing, b.jobs.tally.await(ctx)
}

// mark hands f to the receiver and has the marker follow. Without a marker the
// whole tree is marked in its place.
func (b *fsnotifyBackend) mark(ctx context.Context, f *flush) error {
	if b.marker.err != nil {
		b.out.emit(Event{Path: tree.Root, What: tree.Deep, Cause: Polled})
		_, f.growing = b.hold.oldest()
		close(f.done)
		return nil
	}
	select {
	case b.marker.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case b.marker.sent <- f:
	case <-ctx.Done():
		<-b.marker.turn
		return context.Cause(ctx)
	}
	return b.marker.change()
}

// flushed answers the flush whose marker has come, and gives its turn to the next.
func (b *fsnotifyBackend) flushed() {
	f := b.marker.now
	if f == nil {
		return
	}
	b.marker.now = nil
	_, f.growing = b.hold.oldest()
	close(f.done)
	<-b.marker.turn
}
