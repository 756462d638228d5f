package agent

import (
	"testing"
	"time"

	"syncagent/agent/tree"
)

// A file that rests is sent once for a wait, also when it comes to rest after the wait
// began, and goes on resting afterwards.
func TestWaitDoesNotWaitForWhatRests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.start()
		b.appendFor(4*time.Minute, 300*time.Millisecond)
		for range 3 {
			b.put("log", "before "+time.Now().String())
			if due := under(b.Replica, func() bool { return b.hot.held > 0 || b.set.Len() > 0 }); !due {
				t.Fatal("nothing rests")
			}
			done, last := b.waiting()
			time.Sleep(time.Second)
			b.equal()
			if !done() {
				t.Errorf("after a second: %+v", last())
			}
		}
		b.batches()
		if counts := b.appendFor(time.Minute, 300*time.Millisecond); counts[0] > 3 {
			t.Errorf("after the waits it is sent %d times in a minute", counts[0])
		}
	})
}

// A file that changes whenever it is sent has what it had before a wait as soon as
// one run began after it.
func TestWaitEndsThoughAFileChangesWhileSent(t *testing.T) {
	for name, hot := range map[string]bool{"hot": true, "not hot": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.swept(10)
				if !hot {
					b.hot = newHot(0)
				}
				text := ""
				b.change(func(s *fakeSlave) {
					s.delay = 50 * time.Millisecond
					s.during = func() { text += "x"; b.write("db", text) }
				})
				b.start()
				b.put("db", "0")
				time.Sleep(3 * time.Minute)
				if b.isClean() {
					t.Fatal("it rests")
				}
				at := time.Now()
				done, last := b.waiting()
				time.Sleep(time.Second)
				if !done() {
					t.Errorf("after %v: %+v", time.Since(at), last())
				}
				s := b.snapshot("", false)
				if s.OldestPending > 2*time.Minute.Seconds() {
					t.Errorf("oldest pending %v, though it was sent every %v", s.OldestPending, movedLast)
				}
				b.change(func(s *fakeSlave) { s.during = nil })
				b.Mark("db", tree.Content, false)
				b.settledEqual()
			})
		})
	}
}
