package rsync

import (
	"context"
	"slices"
	"sync"
)

// Slots bound the processes beside the live runs of all clients. Whoever has work
// waits for one, in the order of asking; a waiting connection takes one only while it
// is free, and gives it up for work.
type Slots struct {
	wanted chan struct{} // asks one that holds a waiting connection to end it

	mu           sync.Mutex
	limit, taken int
	queue        []chan struct{} // who waits; closed when it is theirs
}

// NewSlots returns n slots, at least one.
func NewSlots(n int) *Slots {
	return &Slots{wanted: make(chan struct{}), limit: max(1, n)}
}

// Resize makes it n slots, at least one. Fewer than are taken take effect as they are
// given back.
func (s *Slots) Resize(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = max(1, n)
	s.hand()
}

// Acquire waits for a slot; the error is ctx's.
func (s *Slots) Acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	turn := s.enqueue()
	for {
		select {
		case <-turn:
			return nil
		default:
		}
		select {
		case <-turn:
			return nil
		case s.wanted <- struct{}{}:
		case <-ctx.Done():
			s.leave(turn)
			return ctx.Err()
		}
	}
}

func (s *Slots) enqueue() (turn chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	turn = make(chan struct{})
	s.queue = append(s.queue, turn)
	s.hand()
	return turn
}

// leave gives up waiting, and what was handed out meanwhile.
func (s *Slots) leave(turn chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.queue, turn); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
		return
	}
	s.taken--
	s.hand()
}

// hand gives free slots to those who wait. Needs the lock.
func (s *Slots) hand() {
	for s.taken < s.limit && len(s.queue) > 0 {
		close(s.queue[0])
		s.queue = s.queue[1:]
		s.taken++
	}
}

func (s *Slots) tryAcquire() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.limit || len(s.queue) > 0 {
		return false
	}
	s.taken++
	return true
}

// Release gives a slot back.
func (s *Slots) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	s.hand()
}
