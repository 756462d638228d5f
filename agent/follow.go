package agent

import (
	"context"
	"time"
)

// progressEvery is how often whoever waits is told how far it is.
const progressEvery = 2 * time.Second

// targetGone ends what waits for a replica that a reload ended.
const targetGone = "the target was removed or changed meanwhile: try again"

// follow looks at the replica now, after each change and now and then, until look says
// that it is done or ctx ends. gone tells that the replica ended before.
func (r *Replica) follow(ctx context.Context, look func() (done bool)) (gone bool) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if look() {
			return false
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return false
		case <-r.ended:
			return true
		}
	}
}
