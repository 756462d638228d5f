package rsync

import (
	"context"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// spareLife is how long a waiting connection is used. It must be well below
	// the time-outs of either side: ours is a minute, a receiver's five.
	spareLife = 30 * time.Second
	// activeFor is how long after its last run a target counts as active.
	activeFor = time.Minute
	// spareRest is the pause after a waiting connection failed.
	spareRest = 10 * time.Second
)

// spares are connections that wait for a list: rsync has been started, has
// connected, logged in and forked on the slave, which is four fifths of the
// time a small push takes.
//
// A spare is bound to the options it was started with and to the very directory
// it was started in. It is taken only for those, ends with Warm, and one that
// died costs nothing but the time it would have saved.
type spares struct {
	slots *Slots // nil: no bound
	wake  chan struct{}

	ending sync.WaitGroup // spares that are being ended

	mu     sync.Mutex
	warm   bool // Warm runs
	kinds  map[kind]*slot
	resume time.Time
}

// kind is what decides whether a spare fits a run.
type kind struct {
	mode     mode
	dev, ino uint64
}

// slot is the place for one kind's spare.
type slot struct {
	dir   *os.File
	used  time.Time
	spare *process
}

func newSpares(slots *Slots) *spares {
	return &spares{slots: slots, wake: make(chan struct{}, 1), kinds: map[kind]*slot{}}
}

func kindOf(dir *os.File, m mode) (kind, bool) {
	var st unix.Stat_t
	if !m.again || m.bulk || unix.Fstat(int(dir.Fd()), &st) != nil {
		return kind{}, false // only pushes of listed content hurry
	}
	return kind{m, st.Dev, st.Ino}, true
}

// take returns a live spare that fits, if there is one.
func (s *spares) take(dir *os.File, m mode) *process {
	k, ok := kindOf(dir, m)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	place := s.kinds[k]
	if place == nil || place.spare == nil {
		return nil
	}
	p := place.spare
	place.spare = nil
	s.release()
	select {
	case <-p.child.Done():
		s.resume = time.Now().Add(spareRest)
		p.feed.Close()
		return nil
	default:
		return p
	}
}

// wish asks for a spare for the next run of this kind.
func (s *spares) wish(dir *os.File, m mode) {
	k, ok := kindOf(dir, m)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.warm {
		return
	}
	place := s.kinds[k]
	if place == nil {
		fd, err := unix.FcntlInt(dir.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return // no descriptor to spare: no spare
		}
		place = &slot{dir: os.NewFile(uintptr(fd), dir.Name())}
		s.kinds[k] = place
	}
	place.used = time.Now()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// acquire takes a place among all clients' spares, if one is free.
func (s *spares) acquire() bool {
	return s.slots == nil || s.slots.tryAcquire()
}

func (s *spares) release() {
	if s.slots != nil {
		s.slots.Release()
	}
}

// wanted is where work asks for the slot of a spare; nil when there is none to
// give.
func (s *spares) wanted() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, place := range s.kinds {
		if place.spare != nil && s.slots != nil {
			return s.slots.wanted
		}
	}
	return nil
}

// giveWay ends the spare that was used longest ago, and makes no other for a
// while.
func (s *spares) giveWay(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest *slot
	for _, place := range s.kinds {
		if place.spare != nil && (oldest == nil || place.used.Before(oldest.used)) {
			oldest = place
		}
	}
	s.resume = now.Add(spareRest)
	if oldest != nil {
		s.ending.Go(oldest.spare.discard)
		oldest.spare = nil
		s.release()
	}
}

// Warm keeps a connection waiting for each kind of push that the target had
// within the last minute, and returns when ctx has ended and all of them are
// gone. Without it every push connects anew.
func (c *Client) Warm(ctx context.Context) error {
	s := c.spares
	s.mu.Lock()
	s.warm = true
	s.mu.Unlock()
	defer c.cool()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next := c.tend(time.Now())
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-s.wanted():
			s.giveWay(time.Now())
		case <-timer.C:
		}
	}
}

// tend starts, renews and ends spares, and returns when to look again.
func (c *Client) tend(now time.Time) (next time.Time) {
	s := c.spares
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, place := range s.kinds {
		if p := place.spare; p != nil && now.Sub(p.born) >= spareLife {
			place.spare = nil
			s.release()
			s.ending.Go(p.discard)
		}
		if now.Sub(place.used) >= activeFor {
			c.vacate(k, place)
			continue
		}
		if place.spare == nil && now.After(s.resume) {
			c.fill(k, place)
		}
		until := place.used.Add(activeFor)
		if p := place.spare; p != nil && p.born.Add(spareLife).Before(until) {
			until = p.born.Add(spareLife)
		}
		if next.IsZero() || until.Before(next) {
			next = until
		}
	}
	return next
}

func (c *Client) fill(k kind, place *slot) {
	s := c.spares
	if !s.acquire() {
		return
	}
	p, err := c.start(place.dir, k.mode)
	if err != nil {
		s.release()
		s.resume = time.Now().Add(spareRest)
		return
	}
	place.spare = p
}

func (c *Client) vacate(k kind, place *slot) {
	if place.spare != nil {
		c.spares.release()
		c.spares.ending.Go(place.spare.discard)
	}
	place.dir.Close()
	delete(c.spares.kinds, k)
}

// cool ends every spare and waits until it is gone.
func (c *Client) cool() {
	s := c.spares
	s.mu.Lock()
	s.warm = false
	for k, place := range s.kinds {
		c.vacate(k, place)
	}
	s.mu.Unlock()
	s.ending.Wait()
}

// tryWarm runs a spare. ok is false when it had died unnoticed: nothing was
// done then, and the run has to be made anew.
func (p *process) tryWarm(ctx context.Context, list []byte, onItem func(item)) (rep *report, ok bool) {
	rep = p.run(ctx, list, onItem)
	if ctx.Err() != nil || !rep.broken() {
		return rep, true
	}
	p.col.mu.Lock()
	defer p.col.mu.Unlock()
	return rep, p.col.items > 0
}
