package hook

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Drain is how long the events that wait have when the agent stops.
const Drain = 3 * time.Second

// The pauses between two tries.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// Runner does what a hook is for, once. An error that is Permanent is not tried
// again.
type Runner interface {
	Run(ctx context.Context, e Event) error
}

// Permanent marks an error that another try would only repeat.
type Permanent struct{ Err error }

// Error returns the error's text.
func (p Permanent) Error() string { return p.Err.Error() }

// Unwrap returns the error.
func (p Permanent) Unwrap() error { return p.Err }

// Spec is what a Hook is made of.
type Spec struct {
	Name    string
	Runner  Runner
	Single  bool          // a run for each path
	Timeout time.Duration // of one try
	Retries int           // after the first try
	Queue   int           // paths that wait at most
	Log     *slog.Logger
}

// Stats counts what became of a hook's events.
type Stats struct {
	Queued    int    // paths that wait
	Running   bool   // now
	Runs      uint64 // that ended well
	Failed    uint64 // given up after the last try
	Retries   uint64
	Dropped   uint64 // paths that did not fit or were left at the end
	LastError string // of the last run, "" when it ended well
	LastRun   time.Time
	Seconds   float64 // spent in all runs
}

// Hook is a queue and the worker that empties it.
type Hook struct {
	spec Spec
	wake chan struct{}

	mu       sync.Mutex
	waiting  []Event
	stats    Stats
	dropping bool // the last offer did not fit
	closed   bool
}

// New returns a hook that only collects until Run.
func New(s Spec) *Hook {
	s.Log = s.Log.With("hook", s.Name)
	return &Hook{spec: s, wake: make(chan struct{}, 1)}
}

// Name returns the hook's name.
func (h *Hook) Name() string { return h.spec.Name }

// Stats returns the counts so far.
func (h *Hook) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stats
}

// Offer puts an event into the queue and never waits. What does not fit is
// dropped and counted.
func (h *Hook) Offer(e Event) {
	events := []Event{e}
	if h.spec.Single {
		events = e.single()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range events {
		one.delivery = rand.Text()
		h.put(one)
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// put needs the lock. An event larger than the whole queue gets in when it is
// alone, for it would never fit otherwise.
func (h *Hook) put(e Event) {
	n := e.weight()
	if h.closed || h.stats.Queued > 0 && h.stats.Queued+n > h.spec.Queue {
		h.stats.Dropped += uint64(n)
		if !h.dropping {
			h.spec.Log.Warn("hook's queue is full, what comes is dropped and counted", "queued", h.stats.Queued, "limit", h.spec.Queue)
		}
		h.dropping = true
		return
	}
	h.dropping = false
	h.waiting = append(h.waiting, e)
	h.stats.Queued += n
}

// Lose counts paths that were lost before they could be offered.
func (h *Hook) Lose(paths int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Dropped += uint64(paths)
}

// take returns the oldest event.
func (h *Hook) take() (Event, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiting) == 0 {
		return Event{}, false
	}
	e := h.waiting[0]
	h.waiting[0] = Event{}
	h.waiting = h.waiting[1:]
	h.stats.Running = true
	return e, true
}

// Run works the queue off until ctx ends, and then for Drain of time at most.
func (h *Hook) Run(ctx context.Context) error {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(Drain, cancel) })
	defer stop()
	for late.Err() == nil {
		if e, ok := h.take(); ok {
			h.work(ctx, late, e)
			continue
		}
		if ctx.Err() != nil {
			break
		}
		select {
		case <-h.wake:
		case <-ctx.Done():
		}
	}
	h.leave()
	return nil
}

// leave counts what is left at the end.
func (h *Hook) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.stats.Queued == 0 {
		return
	}
	h.spec.Log.Warn("hook is ended before its queue was empty", "dropped", h.stats.Queued)
	h.stats.Dropped += uint64(h.stats.Queued)
	h.stats.Queued, h.waiting = 0, nil
}

// work runs one event until it ends well or the tries are used up. Once ctx has
// ended there is no further try, and none goes on when late has.
func (h *Hook) work(ctx, late context.Context, e Event) {
	var err error
	for try := 0; ; try++ {
		if err = h.try(late, e); err == nil || try == h.spec.Retries || errors.As(err, new(Permanent)) || !h.pause(ctx, try) {
			break
		}
	}
	h.mu.Lock()
	h.stats.Queued -= e.weight()
	h.stats.Running = false
	if err != nil {
		h.stats.Failed++
	} else {
		h.stats.Runs++
	}
	h.mu.Unlock()
	if err != nil {
		h.spec.Log.Warn("hook failed", "paths", len(e.Paths), "delivery", e.delivery, "error", err)
		return
	}
	h.spec.Log.Debug("hook ran", "paths", len(e.Paths), "delivery", e.delivery)
}

// try runs an event once.
func (h *Hook) try(ctx context.Context, e Event) error {
	ctx, cancel := context.WithTimeout(ctx, h.spec.Timeout)
	defer cancel()
	began := time.Now()
	err := h.spec.Runner.Run(ctx, e)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.LastRun = time.Now()
	h.stats.Seconds += h.stats.LastRun.Sub(began).Seconds()
	h.stats.LastError = ""
	if err != nil {
		h.stats.LastError = err.Error()
	}
	return err
}

// pause waits before another try; it reports false when there shall be none.
func (h *Hook) pause(ctx context.Context, try int) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(min(lastPause, firstPause<<min(try, 10))):
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Retries++
	return true
}
