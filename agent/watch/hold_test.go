package watch

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/tree"
)

// held10 is a judge who lets a file go when it was held for 10 s, and who finds
// those called gone missing.
func held10(f *held, now time.Time) (wait time.Duration, gone bool) {
	return 10*time.Second - now.Sub(f.since), f.path.Base() == "gone"
}

// holding returns a holder and what it reported, in order.
func holding(most time.Duration) (h *holder, events *[]Event) {
	events = new([]Event)
	out := &outlet{sink: func(e Event) { *events = append(*events, e) }, meter: &meter{}}
	return newHolder(most, out, held10), events
}

func TestHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, events := holding(time.Minute)
		h.hold("a", held{}, time.Second)
		h.hold("d/gone", held{}, 2*time.Second)
		time.Sleep(time.Second)
		h.hold("d/x", held{}, time.Second)
		h.hold("d/y/z", held{}, time.Second)
		h.hold("dd", held{}, time.Second)
		h.hold("a", held{writer: 7}, time.Hour) // again: only the writer is another
		if f := h.files["a"]; f.writer != 7 || f.waited != time.Second {
			t.Errorf("held is %+v", f)
		}
		if n, since := h.oldest(); n != 5 || time.Since(since) != time.Second || h.out.meter.unsettled.Load() != 5 {
			t.Errorf("%d are held, the oldest for %v; %d unsettled", n, time.Since(since), h.out.meter.unsettled.Load())
		}
		got := h.below("d")
		slices.Sort(got)
		if !slices.Equal(got, []tree.Path{"d/gone", "d/x", "d/y/z"}) {
			t.Errorf("%q are held below d", got)
		}
		h.release("d/x")
		h.release("none")
		h.expire(time.Now())
		time.Sleep(time.Second)
		h.expire(time.Now())
		if h.has("d/gone") || !h.has("a") || len(*events) != 0 {
			t.Errorf("d/gone is held: %v, a: %v, events %v", h.has("d/gone"), h.has("a"), *events)
		}
		time.Sleep(8 * time.Second)
		if due, ok := h.next(); !ok || !due.Equal(time.Now()) {
			t.Errorf("next is due in %v, %v; want now", time.Until(due), ok)
		}
		h.expire(time.Now())
		h.releaseBelow("d")
		time.Sleep(time.Second)
		h.expire(time.Now())
		want := []Event{{Path: "a", What: tree.Content, Finished: true, Kind: KindFile}, {Path: "dd", What: tree.Content, Finished: true, Kind: KindFile}}
		if !slices.Equal(*events, want) {
			t.Errorf("events %v, want %v", *events, want)
		}
		if _, ok := h.next(); ok || h.out.meter.unsettled.Load() != 0 {
			t.Errorf("something is left, %d unsettled", h.out.meter.unsettled.Load())
		}
	})
}

// TestHolderMost: who never finishes is reported as he is.
func TestHolderMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, events := holding(3 * time.Second)
		h.hold("a", held{}, time.Second)
		for range 2 {
			time.Sleep(time.Second)
			h.expire(time.Now())
		}
		if len(*events) != 0 {
			t.Errorf("events %v too early", *events)
		}
		time.Sleep(time.Second)
		h.expire(time.Now())
		if want := []Event{{Path: "a", What: tree.Content, Kind: KindFile}}; !slices.Equal(*events, want) {
			t.Errorf("events %v, want %v", *events, want)
		}
	})
}

// TestHolderFull: more files than it holds are reported at once, and all when
// nobody holds them any more.
func TestHolderFull(t *testing.T) {
	h, events := holding(time.Minute)
	for i := range heldMost + 2 {
		h.hold(tree.Path(fmt.Sprint(i)), held{}, time.Second)
	}
	if len(*events) != 2 {
		t.Errorf("%d events, want 2", len(*events))
	}
	h.flush()
	if len(*events) != heldMost+2 || h.out.meter.unsettled.Load() != 0 {
		t.Errorf("%d events, %d unsettled", len(*events), h.out.meter.unsettled.Load())
	}
	if n, _ := (*holder)(nil).oldest(); n != 0 || (*holder)(nil).below("") != nil {
		t.Error("no holder holds something")
	}
}

func TestRest(t *testing.T) {
	g := growth{quiet: 2 * time.Millisecond}
	for size, want := range map[int64]time.Duration{
		0: 2 * time.Millisecond, 4096: 2 * time.Millisecond, 1 << 20: 15625 * time.Microsecond,
		16 << 20: 250 * time.Millisecond, 1 << 50: 250 * time.Millisecond,
	} {
		if got := g.rest(size); got != want {
			t.Errorf("a file of %d bytes rests %v, want %v", size, got, want)
		}
	}
}

func TestAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alarm
		start := time.Now()
		if a.at(time.Time{}, false) != nil {
			t.Error("a channel for nothing")
		}
		for _, after := range []time.Duration{2, 1, 3} { // later, earlier, later again
			a.at(start.Add(time.Hour), true)
			now := <-a.at(start.Add(after*time.Second), true)
			if got := now.Sub(start); got != max(after, 2)*time.Second {
				t.Errorf("alarm after %v, want %v", got, after*time.Second)
			}
		}
	})
}
