package watch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// flush has the goroutine of this backend take what is queued now.
func (b *fanotifyBackend) flush(ctx context.Context) (time.Time, error) {
	f := &flush{done: make(chan struct{})}
	b.mu.Lock()
	b.flushes = append(b.flushes, f)
	b.mu.Unlock()
	b.poller.wake()
	err := f.answered(ctx)
	return f.growing, err
}

// answerFlushes takes everything that the kernel had queued when it was asked.
func (b *fanotifyBackend) answerFlushes() error {
	b.mu.Lock()
	flushes := b.flushes
	b.flushes = nil
	b.mu.Unlock()
	if len(flushes) == 0 {
		return nil
	}
	if err := b.answerMounts(); err != nil {
		return err
	}
	for _, v := range slices.Collect(maps.Values(b.volumes)) {
		if err := b.drain(v); err != nil {
			return err
		}
	}
	_, growing := b.hold.oldest()
	for _, f := range flushes {
		f.growing = growing
		close(f.done)
	}
	return nil
}

// drain takes the events of a volume that are queued now. What comes meanwhile is
// not waited for, or a busy tree would never let us go. TIOCINQ, which is FIONREAD, counts each event
// with the size of its fixed part, see fanotify_ioctl in the kernel's
// fs/notify/fanotify/fanotify_user.c; were it more, more would be taken.
func (b *fanotifyBackend) drain(v *volume) error {
	if v.group < 0 {
		return nil
	}
	size, err := unix.IoctlGetInt(v.group, unix.TIOCINQ)
	if err != nil {
		return fmt.Errorf("count queued events: %w", err)
	}
	for queued := (size + fanEventFixed - 1) / fanEventFixed; queued > 0; {
		n, err := b.take(v)
		if n == 0 || err != nil {
			return err
		}
		queued -= n
	}
	return nil
}

// fanEventFixed is the size of struct fanotify_event_metadata.
const fanEventFixed = 24
