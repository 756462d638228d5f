package watch

import (
	"log/slog"
	"sync"
	"time"
)

// quiet lets each message through at most once in an interval and says how often
// it was held back.
type quiet struct {
	every time.Duration
	mu    sync.Mutex
	seen  map[string]*repeats
}

type repeats struct {
	next time.Time
	held int
}

func (q *quiet) warn(log *slog.Logger, msg string, args ...any) {
	held, ok := q.allow(msg, time.Now())
	if !ok {
		return
	}
	if held > 0 {
		args = append(args, "repeats", held)
	}
	log.Warn(msg, args...)
}

func (q *quiet) allow(msg string, now time.Time) (held int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.seen[msg]
	if r == nil {
		if q.seen == nil {
			q.seen = make(map[string]*repeats)
		}
		r = &repeats{}
		q.seen[msg] = r
	}
	if now.Before(r.next) {
		r.held++
		return 0, false
	}
	held, r.held, r.next = r.held, 0, now.Add(q.every)
	return held, true
}
