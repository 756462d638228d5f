package supervise

import (
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait before a child is started again: Min after the
// first failure, twice as long after each further one up to Max, and up to a
// quarter more by chance, so that hosts that failed together do not come back
// together.
type Backoff struct {
	Min time.Duration // 500 ms
	Max time.Duration // 30 s
	// ResetAfter is how long a child has to run to count as recovered; 30 s.
	ResetAfter time.Duration
}

func (b Backoff) withDefaults() Backoff {
	setDefault(&b.Min, 500*time.Millisecond)
	setDefault(&b.Max, 30*time.Second)
	setDefault(&b.ResetAfter, 30*time.Second)
	return b
}

type delay struct {
	Backoff
	last time.Duration
}

// next returns the wait after a child that was up for the given time.
func (d *delay) next(up time.Duration) time.Duration {
	switch {
	case d.last == 0, up >= d.ResetAfter:
		d.last = d.Min
	default:
		d.last = min(2*d.last, d.Max)
	}
	return d.last + rand.N(d.last/4+1)
}
