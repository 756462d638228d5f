package rsync

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// Whoever waits gets a slot in the order of asking, also by there being more of them,
// and one who gives up takes none along.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSlots(0)
		if !s.tryAcquire() || s.tryAcquire() {
			t.Fatal("not one slot")
		}
		got := make(chan int, 9)
		ask := func(ctx context.Context, n int) {
			go func() {
				if s.Acquire(ctx) == nil {
					got <- n
				}
			}()
			synctest.Wait()
		}
		have := func(want ...int) {
			t.Helper()
			synctest.Wait()
			for _, w := range want {
				select {
				case n := <-got:
					if n != w {
						t.Errorf("%d got a slot, not %d", n, w)
					}
				default:
					t.Errorf("%d got none", w)
				}
			}
			if len(got) > 0 {
				t.Errorf("%d got one, too", <-got)
			}
		}
		gone, leave := context.WithCancel(t.Context())
		ask(t.Context(), 1)
		ask(gone, 2)
		ask(t.Context(), 3)
		ask(t.Context(), 4)
		have()
		leave()
		s.Resize(2)
		have(1)
		s.Resize(1)
		s.Release()
		have()
		s.Release()
		have(3)
		if s.tryAcquire() {
			t.Error("one was taken before somebody who waits")
		}
		s.Release()
		have(4)
		s.Release()
		if !s.tryAcquire() || s.tryAcquire() {
			t.Error("not one slot at the end")
		}
		if err := s.Acquire(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("after its end: %v", err)
		}
	})
}
