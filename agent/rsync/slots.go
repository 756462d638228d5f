package rsync

import "context"

// Slots bound the processes beside the live runs of all clients. Whoever has work
// waits for one; a waiting connection takes one only while it is free, and gives
// it up for work.
type Slots struct {
	taken  chan struct{}
	wanted chan struct{} // asks one that holds a waiting connection to end it
}

// NewSlots returns n slots, at least one.
func NewSlots(n int) *Slots {
	return &Slots{taken: make(chan struct{}, max(1, n)), wanted: make(chan struct{})}
}

// Acquire waits for a slot; the error is ctx's.
func (s *Slots) Acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for !s.tryAcquire() {
		select {
		case s.taken <- struct{}{}:
			return nil
		case s.wanted <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s *Slots) tryAcquire() bool {
	select {
	case s.taken <- struct{}{}:
		return true
	default:
		return false
	}
}

// Release gives a slot back.
func (s *Slots) Release() { <-s.taken }
