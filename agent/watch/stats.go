package watch

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// blindListed is how many subtrees Stats names at most.
const blindListed = 100

// Stats is a snapshot of what a watcher sees and does not see.
type Stats struct {
	// Backend in use, "" before the first Run, and Why that one.
	Backend string
	Why     string
	// Dirs is the number of directories watched; 0 where whole file systems are.
	Dirs int
	// Filesystems is the number of file systems watched as a whole.
	Filesystems int
	// Events is the number of events handed out, of all runs.
	Events uint64
	// Overflows is how often the kernel's queue was full, of all runs.
	Overflows uint64
	// Unsettled is the number of paths known to have changed whose event is yet to
	// come: subtrees whose watches are being set up, and files that are Growing.
	// While it is not 0, the tree cannot be called in sync.
	Unsettled int
	// UnsettledSince is when it was 0 last; zero while it is.
	UnsettledSince time.Time
	// Remote says that others can write to some file system of the tree unseen.
	Remote bool
	// Growing is the number of files held back since somebody writes them, and
	// GrowingSince when the first of them was; zero when there is none.
	Growing      int
	GrowingSince time.Time
	// Blind names subtrees that could not be watched, the first hundred in order,
	// and BlindCount says how many there are. They are reported as a whole once a
	// minute. Crowded ones stand as their common parent.
	Blind      []tree.Path
	BlindCount int
}

// meter is what a running backend keeps up to date for Stats.
type meter struct {
	dirs, systems     atomic.Int64
	unsettled         unsettled
	events, overflows atomic.Uint64
	blind             blindSet

	mu      sync.Mutex
	backend Backend
	why     string
	swept   string // what is reported from time to time besides, and why
	held    *holder
}

func (m *meter) reset() {
	m.dirs.Store(0)
	m.systems.Store(0)
	m.unsettled.reset()
	m.blind.expire(tree.Root, ^uint64(0))
	m.sweeps("")
	m.holds(nil)
}

func (m *meter) chose(b Backend, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.backend, m.why = b, why
}

// sweeps says what is reported from time to time besides; "" for nothing.
func (m *meter) sweeps(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.swept = what
}

// holds says who holds growing files back.
func (m *meter) holds(h *holder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = h
}

// growing returns who holds growing files back; its methods do nothing on nil.
func (m *meter) growing() *holder {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held
}

// Stats returns a snapshot. It may be called at any time.
func (w *Watcher) Stats() Stats {
	m := &w.meter
	m.mu.Lock()
	s := Stats{Backend: string(m.backend), Why: m.why + m.swept, Remote: m.swept != ""}
	m.mu.Unlock()
	s.Dirs, s.Filesystems = int(m.dirs.Load()), int(m.systems.Load())
	s.Unsettled, s.UnsettledSince = m.unsettled.load()
	s.Growing, s.GrowingSince = m.growing().oldest()
	s.Events, s.Overflows = m.events.Load(), m.overflows.Load()
	s.Blind = m.blind.list()
	s.BlindCount = len(s.Blind)
	s.Blind = s.Blind[:min(len(s.Blind), blindListed)]
	return s
}

// unsettled counts changes that are known and not reported.
type unsettled struct {
	mu    sync.Mutex
	n     int64
	since time.Time
}

// Add counts n more. The first of them is the oldest for as long as there is any.
func (u *unsettled) Add(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n == 0 && n > 0 {
		u.since = time.Now()
	}
	if u.n += n; u.n == 0 {
		u.since = time.Time{}
	}
}

// Load returns how many there are.
func (u *unsettled) Load() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.n
}

func (u *unsettled) load() (n int, since time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return int(u.n), u.since
}

func (u *unsettled) reset() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.n, u.since = 0, time.Time{}
}

// outlet hands events to the sink, one at a time.
type outlet struct {
	mu    sync.Mutex
	sink  func(Event)
	meter *meter
}

func (o *outlet) emit(e Event) {
	o.meter.events.Add(1)
	o.hand(e)
}

func (o *outlet) hand(e Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sink(e)
}

// close drops what comes from here on.
// linked tells at once of a file that has several names, before one of them can go.
func (o *outlet) linked(p tree.Path, st *unix.Stat_t) {
	if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink > 1 {
		o.hand(Event{Path: p, Linked: true, Kind: KindFile})
	}
}

func (o *outlet) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sink = func(Event) {}
}
