package watch

import (
	"sync"

	"syncagent/agent/tree"
)

// jobsMost is how many paths wait at most; beyond, the whole tree is looked at.
const jobsMost = 20_000

// job asks the worker to make the watches at and below a path equal to what
// stands there.
type job struct {
	path  tree.Path
	cause Cause
	at    uint64 // when the need was noticed, by the backend's own count
}

// jobs is a queue that holds each path once. Its putters never wait.
type jobs struct {
	mu    sync.Mutex
	need  map[tree.Path]job
	order []tree.Path
	wake  chan struct{}
	tally tally
}

func newJobs() *jobs {
	return &jobs{need: make(map[tree.Path]job), wake: make(chan struct{}, 1), tally: newTally()}
}

// put queues j and reports how many paths that adds: 1, or 0 when its path waits
// already. When there are too many it empties the queue and reports full.
func (q *jobs) put(j job) (added int, full bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if old, ok := q.need[j.path]; ok {
		// A lost watch alone is reported only if a directory stands there; any other
		// cause must be answered in any case.
		if old.cause != Lost {
			j.cause = old.cause
		}
		q.need[j.path] = j
		return 0, false
	}
	if len(q.need) >= jobsMost {
		added = -len(q.need)
		clear(q.need)
		q.order = nil
		q.tally.drop(-added)
		return added, true
	}
	q.need[j.path] = j
	q.order = append(q.order, j.path)
	q.tally.asked()
	q.signal()
	return 1, false
}

func (q *jobs) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next takes the oldest job, and wakes again if there are more.
func (q *jobs) next() (job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.order) == 0 {
		return job{}, false
	}
	p := q.order[0]
	q.order = q.order[1:]
	j := q.need[p]
	delete(q.need, p)
	if len(q.order) > 0 {
		q.signal()
	}
	return j, true
}
