package hook

import (
	"cmp"
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

// PerPath is a Runner that may take one path at a time.
type PerPath interface {
	// PerPath reports whether it does. Run then gets events of one path.
	PerPath() bool
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

// part is what has tries of its own.
type part struct {
	event Event
	err   error // of the last try
	tried bool
	done  bool
}

// parts are each path where the runner takes one at a time, so that one which fails
// or hangs costs the others nothing; else the event.
func (h *Hook) parts(e Event) []*part {
	each, ok := h.spec.Runner.(PerPath)
	if !ok || !each.PerPath() || e.State != nil || len(e.Paths) < 2 {
		return []*part{{event: e}}
	}
	var list []*part
	for _, one := range e.single() {
		one.delivery = rand.Text()
		list = append(list, &part{event: one})
	}
	return list
}

// work runs one event until all of it ended well or the tries are used up. Once
// ctx has ended there is no further try, and none goes on when late has.
func (h *Hook) work(ctx, late context.Context, e Event) {
	parts := h.parts(e)
	for try := 0; ; try++ {
		left := h.round(late, parts, try == h.spec.Retries)
		if left == 0 || late.Err() != nil || !h.pause(ctx, try, left) {
			break
		}
	}
	h.giveUp(parts)
}

// round tries each part once that is not done, and returns how many are left.
func (h *Hook) round(late context.Context, parts []*part, last bool) int {
	left := 0
	for _, p := range parts {
		if p.done || late.Err() != nil {
			continue
		}
		p.err, p.tried = h.try(late, p.event), true
		p.done = p.err == nil || last || errors.As(p.err, new(Permanent))
		if !p.done {
			left++
			continue
		}
		h.count(p)
	}
	return left
}

// count counts what became of a part.
func (h *Hook) count(p *part) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Queued -= p.event.weight()
	if p.err != nil {
		h.stats.Failed++
		return
	}
	h.stats.Runs++
	h.spec.Log.Debug("hook ran", "paths", len(p.event.Paths), "delivery", p.event.delivery)
}

// giveUp ends an event: what was tried and is not done has failed, what was not
// tried is for leave to count. What failed is one line of the log.
func (h *Hook) giveUp(parts []*part) {
	var first *part
	paths := 0
	for _, p := range parts {
		if p.tried && !p.done {
			h.count(p)
		}
		if p.err != nil {
			first = cmp.Or(first, p)
			paths += len(p.event.Paths)
		}
	}
	h.mu.Lock()
	h.stats.Running = false
	h.mu.Unlock()
	if first != nil {
		h.spec.Log.Warn("hook failed", "paths", paths, "delivery", first.event.delivery, "error", first.err)
	}
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

// pause waits before another try of some parts; it reports false when there shall
// be none.
func (h *Hook) pause(ctx context.Context, try, parts int) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(min(lastPause, firstPause<<min(try, 10))):
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Retries += uint64(parts)
	return true
}
