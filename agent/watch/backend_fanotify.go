package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// fanotifyBackend has each file system of the tree reported as a whole. All its
// work but mounted is done by one goroutine, which sleeps in poll(2).
type fanotifyBackend struct {
	dir      rootDir
	above    []string // names of the root and of the directories above it
	excludes func(p tree.Path, dir bool) bool
	pace     pace
	log      *slog.Logger
	quiet    quiet
	out      *outlet
	meter    *meter
	hold     *holder
	read     func(fd int, buf []byte) (int, error) // read(2) but in tests

	volumes map[string]*volume // by the superblock
	round   uint64             // of looks at the mounts
	buf     []byte
	link    []byte
	name    [unix.PathMax + 1]byte

	crowd  crowd
	poller *poller
	ready  []unix.EpollEvent
	check  time.Time // when the root is due to be looked at
	retry  time.Time // when what is blind is due to be tried

	mu       sync.Mutex
	changed  []tree.Path // mounts, to be answered
	flushes  []*flush    // likewise
	unplaced unplaced
}

// fanBuffer holds the events that are read at once.
const fanBuffer = 256 << 10

// newFanotify sets up the marks: from here on no event is missed. When strict, a
// mount below the root that cannot be watched is an error.
func newFanotify(cfg Config, p pace, dir rootDir, out *outlet, strict bool) (*fanotifyBackend, error) {
	b := &fanotifyBackend{
		dir: dir, above: strings.Split(strings.Trim(dir.path, "/"), "/"), excludes: cfg.Excludes, pace: p,
		log: cfg.Log.With("root", dir.path), quiet: quiet{every: time.Minute}, out: out, meter: out.meter,
		hold:    newHolder(cfg.Growing, out, newWriters(dir).judge),
		read:    unix.Read,
		volumes: make(map[string]*volume), buf: make([]byte, fanBuffer), ready: make([]unix.EpollEvent, 8),
	}
	var err error
	if b.poller, err = newPoller(); err != nil {
		return nil, err
	}
	if err := b.remount(strict); err != nil {
		b.close()
		return nil, err
	}
	out.meter.holds(b.hold)
	return b, nil
}

func (b *fanotifyBackend) close() {
	for _, v := range b.volumes {
		v.close()
	}
	clear(b.volumes)
	b.poller.close()
}

func (b *fanotifyBackend) run(ctx context.Context, ready func()) error {
	defer b.close()
	defer b.hold.flush()
	defer context.AfterFunc(ctx, b.poller.wake)()
	ready()
	now := time.Now()
	b.check, b.retry = now.Add(b.pace.fanRoot), now.Add(b.pace.retry)
	for {
		readable, err := b.wait(b.nextDue())
		if err != nil || ctx.Err() != nil {
			return err
		}
		if err := b.answerMounts(); err != nil {
			return err
		}
		for _, v := range readable {
			if _, err := b.take(v); err != nil {
				return err
			}
		}
		if err := b.answerFlushes(); err != nil {
			return err
		}
		b.crowd.gather(time.Now(), len(readable) > 0)
		if err := b.regular(time.Now()); err != nil {
			return err
		}
	}
}

// nextDue returns when there is something to do if nothing happens.
func (b *fanotifyBackend) nextDue() time.Time {
	due := b.check
	if b.meter.blind.any() && b.retry.Before(due) {
		due = b.retry
	}
	if at, ok := b.hold.next(); ok && at.Before(due) {
		due = at
	}
	return due
}

// regular does what is due.
func (b *fanotifyBackend) regular(now time.Time) error {
	b.hold.expire(now)
	if !now.Before(b.check) {
		b.check = now.Add(b.pace.fanRoot)
		if err := b.dir.lost(); err != nil {
			return err
		}
	}
	if !now.Before(b.retry) {
		b.retry = now.Add(b.pace.retry)
		return b.retryBlind()
	}
	return nil
}

// wait sleeps until due, or until there are events, and returns whose.
func (b *fanotifyBackend) wait(due time.Time) ([]*volume, error) {
	n, err := b.poller.wait(due, b.ready)
	if err != nil {
		return nil, fmt.Errorf("wait for events: %w", err)
	}
	var volumes []*volume
	for _, ev := range b.ready[:n] {
		for _, v := range b.volumes {
			if v.group == int(ev.Fd) {
				volumes = append(volumes, v)
			}
		}
	}
	return volumes, nil
}

// take reads and translates some events of a volume, and returns how many.
func (b *fanotifyBackend) take(v *volume) (taken int, err error) {
	if v.group < 0 {
		return 0, nil // unmounted a moment ago
	}
	n, err := b.read(v.group, b.buf)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read events: %w", err)
	}
	defer v.letGo()
	for buf := b.buf[:n]; len(buf) > 0; taken++ {
		var ev fanEvent
		if ev, buf, err = decodeFan(buf); err == nil {
			err = b.translate(v, ev)
		}
		if errors.Is(err, errMangled) || errors.Is(err, errUnclear) {
			b.quiet.warn(b.log, "an event cannot be understood, looking at the whole file system", "error", err)
			b.missed(v)
		} else if err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// overflow answers that the kernel's queue of a volume was full.
func (b *fanotifyBackend) overflow(v *volume) error {
	b.meter.overflows.Add(1)
	b.quiet.warn(b.log, "event queue overflowed, looking at the whole tree; raise fs.fanotify.max_queued_events")
	if err := b.remount(false); err != nil {
		return err
	}
	b.missed(v)
	return nil
}

// missed reports a volume as a whole.
func (b *fanotifyBackend) missed(v *volume) {
	v.cache.clear()
	for _, s := range v.spots {
		b.out.emit(Event{Path: s.path, What: tree.Content | tree.Deep, Cause: Overflow})
	}
}
