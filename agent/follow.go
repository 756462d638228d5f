package agent

import "context"

// targetGone ends what waits for a replica that a reload ended.
const targetGone = "the target was removed or changed meanwhile: try again"

// follow looks at the replica now and after each change, until look says that it is
// done or ctx ends. gone tells that the replica ended before.
func (r *Replica) follow(ctx context.Context, look func() (done bool)) (gone bool) {
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if look() {
			return false
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		case <-r.ended:
			return true
		}
	}
}
