package watch

import (
	"sync"
	"sync/atomic"

	"syncagent/agent/tree"
)

// blindListed is how many subtrees Stats names at most.
const blindListed = 100

// Stats is a snapshot of what a watcher sees and does not see.
type Stats struct {
	// Backend in use, "" before the first Run, and Why that one.
	Backend string
	Why     string
	// Dirs is the number of directories watched.
	Dirs int
	// Events is the number of events handed out, of all runs.
	Events uint64
	// Overflows is how often the kernel's queue was full, of all runs.
	Overflows uint64
	// Unsettled is the number of subtrees known to have changed whose event is yet
	// to come, because their watches are being set up. While it is not 0, the tree
	// cannot be called in sync.
	Unsettled int
	// Blind names subtrees that could not be watched, the first hundred in order,
	// and BlindCount says how many there are. They are reported as a whole once a
	// minute. Crowded ones stand as their common parent.
	Blind      []tree.Path
	BlindCount int
}

// meter is what a running backend keeps up to date for Stats.
type meter struct {
	dirs, unsettled   atomic.Int64
	events, overflows atomic.Uint64
	blind             blindSet

	mu      sync.Mutex
	backend Backend
	why     string
}

func (m *meter) reset() {
	m.dirs.Store(0)
	m.unsettled.Store(0)
	m.blind.expire(tree.Root, ^uint64(0))
}

func (m *meter) chose(b Backend, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.backend, m.why = b, why
}

// Stats returns a snapshot. It may be called at any time.
func (w *Watcher) Stats() Stats {
	m := &w.meter
	m.mu.Lock()
	s := Stats{Backend: string(m.backend), Why: m.why}
	m.mu.Unlock()
	s.Dirs, s.Unsettled = int(m.dirs.Load()), int(m.unsettled.Load())
	s.Events, s.Overflows = m.events.Load(), m.overflows.Load()
	s.Blind = m.blind.list()
	s.BlindCount = len(s.Blind)
	s.Blind = s.Blind[:min(len(s.Blind), blindListed)]
	return s
}

// outlet hands events to the sink, one at a time.
type outlet struct {
	mu    sync.Mutex
	sink  func(Event)
	meter *meter
}

func (o *outlet) emit(e Event) {
	o.meter.events.Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sink(e)
}
