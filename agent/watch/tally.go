package watch

import (
	"context"
	"sync"
)

// tally counts looks at directories that were asked for and those that were done,
// so that somebody can wait for all that was asked before: it is done in that order.
type tally struct {
	mu         sync.Mutex
	need, done looks
	dropped    uint64 // jobs that the next rescan does
	begun      uint64 // jobs that the rescan under way does
	told       chan struct{}
}

// looks are numbers of looks at one directory and at the whole tree.
type looks struct{ jobs, rescans uint64 }

func newTally() tally { return tally{told: make(chan struct{})} }

func (t *tally) asked() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.need.jobs++
}

// drop says that a rescan will do n jobs.
func (t *tally) drop(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropped += uint64(n)
}

func (t *tally) rescanAsked() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.need.rescans++
}

func (t *tally) rescanBegun() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun, t.dropped = t.dropped, 0
}

func (t *tally) jobDone() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done.jobs++
	t.tell()
}

func (t *tally) rescanDone() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done.jobs += t.begun
	t.done.rescans++
	t.begun = 0
	t.tell()
}

func (t *tally) tell() {
	close(t.told)
	t.told = make(chan struct{})
}

// await waits until all that was asked for by now is done.
func (t *tally) await(ctx context.Context) error {
	t.mu.Lock()
	need := t.need
	for t.done.jobs < need.jobs || t.done.rescans < need.rescans {
		told := t.told
		t.mu.Unlock()
		select {
		case <-told:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		t.mu.Lock()
	}
	t.mu.Unlock()
	return nil
}
