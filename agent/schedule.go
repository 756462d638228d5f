package agent

import (
	"context"
	"time"

	"syncagent/agent/config"
)

// clockStep is how long a schedule waits at most before it looks at the clock
// again: that may have been set, and a suspended machine's timers stand still.
const clockStep = time.Minute

// sweepEvery asks for sweeps whenever the schedule says.
func (s *Source) sweepEvery(ctx context.Context, when config.Schedule, checksum bool) {
	for at := when.Next(time.Now()); !at.IsZero(); at = when.Next(time.Now()) {
		if !until(ctx, at) {
			return
		}
		for _, r := range s.Replicas() {
			r.scheduleSweep(checksum)
		}
	}
}

// until waits for a moment, and reports whether it came before ctx ended.
func until(ctx context.Context, at time.Time) bool {
	for ctx.Err() == nil {
		left := time.Until(at)
		if left <= 0 {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(left, clockStep)):
		}
	}
	return false
}
