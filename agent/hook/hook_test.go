package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/tree"
)

// runner is a Runner whose tries end as told, the last answer for ever.
type runner struct {
	mu      sync.Mutex
	answers []error
	seen    []Event
	at      []time.Duration
	began   time.Time
	hangs   bool
	hang    chan struct{} // what a try waits for, if it hangs
}

func (r *runner) Run(ctx context.Context, e Event) error {
	r.mu.Lock()
	r.seen = append(r.seen, e)
	r.at = append(r.at, time.Since(r.began))
	var err error
	if len(r.answers) > 0 {
		err = r.answers[0]
	}
	if len(r.answers) > 1 {
		r.answers = r.answers[1:]
	}
	hang := r.hang
	r.mu.Unlock()
	if hang == nil {
		return err
	}
	select {
	case <-hang:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func event(paths ...string) Event {
	e := Event{Module: "www", Root: "/www/www", Target: "s1", OK: true, Time: time.Unix(1, 0)}
	for _, p := range paths {
		e.Paths = append(e.Paths, Path{Path: tree.Path(p), Op: Put})
	}
	return e
}

// bubble runs a hook of spec in a bubble of time and ends it before it checks.
func bubble(t *testing.T, r *runner, spec Spec, act func(h *Hook, end func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r.began = time.Now()
		if r.hangs {
			r.hang = make(chan struct{}) // of the bubble
		}
		if spec.Log == nil {
			spec.Log = slog.New(slog.DiscardHandler)
		}
		spec.Name, spec.Runner = "h", r
		h := New(spec)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = h.Run(ctx) }()
		act(h, func() { cancel(); <-done })
		cancel()
		<-done
	})
}

func TestRetries(t *testing.T) {
	bad := errors.New("bad")
	tests := []struct {
		name    string
		answers []error
		tries   int
		want    Stats
	}{
		{"at once", []error{nil}, 1, Stats{Runs: 1}},
		{"at the third", []error{bad, bad, nil}, 3, Stats{Runs: 1, Retries: 2}},
		{"never", []error{bad}, 3, Stats{Failed: 1, Retries: 2, LastError: "bad"}},
		{"permanent", []error{fmt.Errorf("x: %w", Permanent{bad})}, 1, Stats{Failed: 1, LastError: "x: bad"}},
	}
	for _, tt := range tests {
		r := &runner{answers: tt.answers}
		bubble(t, r, Spec{Timeout: time.Second, Retries: 2, Queue: 10}, func(h *Hook, _ func()) {
			h.Offer(event("a"))
			time.Sleep(time.Hour)
			synctest.Wait()
			got := h.Stats()
			got.LastRun, got.Seconds = time.Time{}, 0
			if got != tt.want || len(r.seen) != tt.tries {
				t.Errorf("%s: %d tries, %+v", tt.name, len(r.seen), got)
			}
			for _, e := range r.seen[1:] {
				if e.delivery != r.seen[0].delivery || e.delivery == "" {
					t.Errorf("%s: deliveries %q and %q", tt.name, r.seen[0].delivery, e.delivery)
				}
			}
		})
	}
}

func TestPausesGrow(t *testing.T) {
	r := &runner{answers: []error{errors.New("bad")}}
	bubble(t, r, Spec{Timeout: time.Second, Retries: 8, Queue: 10}, func(h *Hook, _ func()) {
		h.Offer(event("a"))
		time.Sleep(time.Hour)
		synctest.Wait()
		want := "[0s 1s 3s 7s 15s 31s 1m3s 2m3s 3m3s]"
		if got := fmt.Sprint(r.at); got != want {
			t.Errorf("tries at %s, want %s", got, want)
		}
	})
}

// TestQueueIsBounded: a hook that hangs drops what does not fit, says so once
// and delays nobody.
func TestQueueIsBounded(t *testing.T) {
	var log bytes.Buffer
	r := &runner{hangs: true}
	bubble(t, r, Spec{Timeout: time.Hour, Queue: 3, Log: slog.New(slog.NewTextHandler(&log, nil))}, func(h *Hook, end func()) {
		began := time.Now()
		for i := range 10 {
			h.Offer(event(fmt.Sprint("a", i)))
			synctest.Wait()
		}
		if time.Since(began) != 0 {
			t.Errorf("offers took %s", time.Since(began))
		}
		if s := h.Stats(); s.Queued != 3 || s.Dropped != 7 || !s.Running {
			t.Errorf("%+v", s)
		}
		if n := strings.Count(log.String(), "queue is full"); n != 1 {
			t.Errorf("said %d times:\n%s", n, log.String())
		}
		close(r.hang)
		synctest.Wait()
		if s := h.Stats(); s.Queued != 0 || s.Runs != 3 {
			t.Errorf("%+v", s)
		}
	})
}

// TestLargeEventAlone: an event of more paths than the whole queue takes gets
// in when nothing else waits.
func TestLargeEventAlone(t *testing.T) {
	r := &runner{}
	bubble(t, r, Spec{Timeout: time.Hour, Queue: 3}, func(h *Hook, _ func()) {
		h.Offer(event("a", "b", "c", "d", "e"))
		synctest.Wait()
		if s := h.Stats(); s.Runs != 1 || s.Dropped != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestTimeout(t *testing.T) {
	r := &runner{hangs: true}
	bubble(t, r, Spec{Timeout: 30 * time.Second, Retries: 1, Queue: 3}, func(h *Hook, _ func()) {
		h.Offer(event("a"))
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := h.Stats(); s.Failed != 1 || s.Seconds != 60 || s.LastError != "context deadline exceeded" {
			t.Errorf("%+v", s)
		}
	})
}

// TestDrain: at the end what waits has three seconds and one try each.
func TestDrain(t *testing.T) {
	bad := errors.New("bad")
	r := &runner{answers: []error{bad}}
	bubble(t, r, Spec{Timeout: time.Hour, Retries: 5, Queue: 9}, func(h *Hook, end func()) {
		h.Offer(event("a"))
		h.Offer(event("b"))
		synctest.Wait()
		end()
		if s := h.Stats(); s.Failed != 2 || s.Queued != 0 || s.Dropped != 0 || len(r.seen) != 2 {
			t.Errorf("%+v", s)
		}
		h.Offer(event("late"))
		if s := h.Stats(); s.Dropped != 1 {
			t.Errorf("after the end: %+v", s)
		}
	})
	r = &runner{hangs: true}
	bubble(t, r, Spec{Timeout: time.Hour, Retries: 5, Queue: 9}, func(h *Hook, end func()) {
		h.Offer(event("a"))
		h.Offer(event("b", "c"))
		synctest.Wait()
		began := time.Now()
		end()
		if took := time.Since(began); took != Drain {
			t.Errorf("the end took %s", took)
		}
		if s := h.Stats(); s.Failed != 1 || s.Dropped != 2 || s.Queued != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestSingle(t *testing.T) {
	r := &runner{}
	bubble(t, r, Spec{Timeout: time.Second, Queue: 9, Single: true}, func(h *Hook, _ func()) {
		h.Offer(event("a", "b"))
		synctest.Wait()
		if len(r.seen) != 2 || r.seen[1].Paths[0].Path != "b" || r.seen[0].delivery == r.seen[1].delivery {
			t.Errorf("%+v", r.seen)
		}
	})
}

// perPath is a runner that takes one path at a time, and fails or hangs for those
// whose names say so.
type perPath struct{ runner }

func (*perPath) PerPath() bool { return true }

func (r *perPath) Run(ctx context.Context, e Event) error {
	_ = r.runner.Run(ctx, e)
	switch e.Paths[0].Path {
	case "bad":
		return errors.New("bad")
	case "hangs":
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// TestOnePathOfMany: where a runner takes one path at a time, one that fails or
// hangs costs the others nothing: each has the whole time, tries and a delivery of its
// own, and one line of the log tells of those that failed.
func TestOnePathOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := &perPath{runner{began: time.Now()}}
		h := New(Spec{Name: "h", Runner: r, Timeout: time.Minute, Retries: 1, Queue: 2, Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = h.Run(ctx) }()
		h.Offer(event("bad", "hangs", "good", "bad", "fine"))
		time.Sleep(time.Hour)
		synctest.Wait()
		var order []string
		deliveries := map[string]tree.Path{}
		for _, e := range r.seen {
			p := e.Paths[0].Path
			order = append(order, string(p))
			if len(e.Paths) != 1 || deliveries[e.delivery] != "" && deliveries[e.delivery] != p {
				t.Errorf("%+v", e)
			}
			deliveries[e.delivery] = p
		}
		if got := strings.Join(order, " "); got != "bad hangs good bad fine bad hangs bad" || len(deliveries) != 5 {
			t.Errorf("ran %s, %d deliveries", got, len(deliveries))
		}
		if s := h.Stats(); s.Runs != 2 || s.Failed != 3 || s.Retries != 3 || s.Queued != 0 || s.Dropped != 0 || s.Running {
			t.Errorf("%+v", s)
		}
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "paths=3") {
			t.Errorf("logged %s", got)
		}
		cancel()
		<-done
	})
}

// TestDrainOfMany: what of an event was not tried when the time at the end is over is
// dropped, and what was is not.
func TestDrainOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &perPath{runner{began: time.Now()}}
		h := New(Spec{Name: "h", Runner: r, Timeout: time.Hour, Retries: 1, Queue: 9, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = h.Run(ctx) }()
		h.Offer(event("good", "bad", "hangs", "never"))
		synctest.Wait()
		cancel()
		<-done
		if s := h.Stats(); s.Runs != 1 || s.Failed != 2 || s.Dropped != 1 || s.Queued != 0 || s.Running {
			t.Errorf("%+v", s)
		}
	})
}
