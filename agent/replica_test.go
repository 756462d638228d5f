package agent

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

func TestBurstIsOneBatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.start()
		for i := range 20 {
			name := fmt.Sprintf("f%d", i)
			b.write(name, "1")
			b.Mark(tree.Path(name), tree.Content, false)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		b.equal()
		if n := len(b.batches()); n != 1 {
			t.Errorf("%d runs", n)
		}
	})
}

// A tree that is being copied has pauses; it is not worth a walk for each.
func TestBurstThatHasGrownWaitsForALongerLull(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.start()
		for i := range 600 {
			name := fmt.Sprintf("d/f%d", i)
			b.write(name, "1")
			b.Mark(tree.Path(name), tree.Content, false)
			if i >= 300 && i%50 == 0 {
				time.Sleep(20 * time.Millisecond)
			}
		}
		time.Sleep(time.Second)
		b.equal()
		if n := len(b.batches()); n != 1 {
			t.Errorf("%d runs", n)
		}
	})
}

func TestBurstThatDoesNotEndIsSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.write("f", "1")
		b.start()
		for range 5000 {
			b.Mark("f", tree.Content, false)
			time.Sleep(time.Millisecond)
		}
		if n := len(b.batches()); n < 4 || n > 6 {
			t.Errorf("%d runs in five seconds", n)
		}
	})
}

// The brake sees a removal whole only if the burst has settled.
func TestBurstOfDeletesSettlesLonger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("d", 40)
		b.swept(41)
		b.start()
		for i := range 40 {
			name := fmt.Sprintf("d/f%03d", i)
			b.remove(name)
			b.Mark(tree.Path(name), tree.Content, true)
			if i > burstDeletes {
				time.Sleep(burstSettle / 5)
			}
		}
		b.remove("d")
		b.Mark("d", tree.Content, true)
		time.Sleep(2 * time.Second)
		b.equal()
		if n := len(b.batches()); n > 3 {
			t.Errorf("%d runs", n)
		}
	})
}

func TestBackoffGrowsAndIsReset(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.write("f", "1")
		b.breakDown(rsync.Transient)
		b.start()
		b.Mark("f", tree.Content, false)
		var gaps []time.Duration
		last := time.Now()
		for len(gaps) < 12 {
			time.Sleep(10 * time.Millisecond)
			if len(b.batches()) > 0 {
				gaps = append(gaps, time.Since(last))
				last = time.Now()
			}
		}
		for i, gap := range gaps[1:] {
			most := min(retryFirst<<i, retryLast)
			if gap < most*4/5 || gap > most+time.Second {
				t.Errorf("pause %d is %v, want at most %v", i, gap, most)
			}
		}
		b.accept()
		time.Sleep(retryLast + time.Second)
		b.equal()
		b.breakDown(rsync.Transient)
		b.write("f", "2")
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Second)
		b.accept()
		time.Sleep(2 * retryFirst)
		b.equal()
	})
}

func TestChangesDuringAPushAreSentAfterIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.write("f", "1")
		once := false
		b.slave.during = func() {
			if !once {
				once = true
				b.Mark("f", tree.Content, false)
				b.Mark("g", tree.Content, false)
			}
		}
		b.start()
		b.Mark("f", tree.Content, false)
		b.write("g", "1")
		time.Sleep(time.Second)
		b.equal()
		if sent := b.batches(); len(sent) != 2 || !slices.Equal(sent[1].Send, []tree.Path{"f", "g"}) {
			t.Errorf("sent %+v", sent)
		}
	})
}

func TestFirstContactIsProbed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.answers(failingProbe(&rsync.Error{Class: rsync.Transient, Text: "refused"}))
		b.write("f", "1")
		b.start()
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Minute)
		if n := len(b.batches()); n > 0 {
			t.Errorf("%d processes were spent on a target that does not answer", n)
		}
		b.answers(answeringProbe("syncagent links=kept owners=lost"))
		time.Sleep(5 * time.Minute)
		b.equal()
		if s := b.snapshot("", false); s.Links != "kept" || s.Owners != "lost" {
			t.Errorf("snapshot is %+v", s)
		}
	})
}

// Nobody and nothing runs while there is nothing to do, and nothing is left
// behind at the end.
func TestIdleReplicaDoesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.write("f", "1")
		b.refuse("f", rsync.Partial)
		b.start()
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Minute)
		b.accept()
		time.Sleep(5 * time.Minute)
		b.equal()
		b.batches()
		compared, saved := b.sweepsSeen(), b.saves()
		time.Sleep(1000 * time.Hour)
		if len(b.batches()) > 0 || b.sweepsSeen() > compared || b.saves() > saved {
			t.Error("an idle replica is busy")
		}
		b.stop()
		synctest.Wait()
	})
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}
