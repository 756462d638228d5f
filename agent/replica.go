package agent

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"syncagent/agent/config"
	"syncagent/agent/hook"
	"syncagent/agent/journal"
	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// Slave is one module on one target, as a replica uses it. *rsync.Client is the
// real one.
type Slave interface {
	// Send makes the slave equal for the batch and says what still is not.
	Send(ctx context.Context, dir *os.File, b rsync.Batch) rsync.Outcome
	// Victims lists what deleting the paths would delete.
	Victims(ctx context.Context, dir *os.File, gone []tree.Path) ([]rsync.Extra, error)
	// Compare lists what differs below the paths and changes nothing. It counts what it
	// has seen so far in seen, unless that is nil.
	Compare(ctx context.Context, dir *os.File, deep []tree.Path, checksum bool, seen *atomic.Int64) (rsync.Diff, error)
}

// targetStore keeps what one target has not confirmed over restarts.
type targetStore interface {
	LoadTarget(module, target string) (journal.Target, error)
	SaveTarget(module, target string, rec journal.Target) error
}

// opener opens the module's root if the guard lets it, for a look at a batch
// that was taken at some time or for as long as the view is open. Trusted says
// whether a target's journal can be about it, wrote that it now is.
type opener interface {
	open() (*view, error)
	look(b tree.Batch, taken time.Time) (*look, error)
	trusted(target string) bool
	wrote(target string)
}

// surplusPortion is about how many paths a batch has at most when what only the
// slave has is looked at: fewer than a set holds, which would roll them up.
const surplusPortion = 10_000

// Replica keeps one module on one target equal to the master's tree. It owns
// the target's dirty set and its connection; nothing it does delays another.
type Replica struct {
	module  config.Module
	target  config.Target
	root    opener
	slave   Slave
	probe   func(context.Context) (rsync.Greeting, error)
	store   targetStore
	pauses  pauseStore
	places  *rsync.Slots                // one a sweep that may run at once, shared
	slots   *rsync.Slots                // one a run of the bulk lane or a sweep, shared
	spread  func() time.Duration        // over how long sweeps of all targets begin that are due together
	warm    func(context.Context) error // keeps connections waiting; nil for none
	drains  func() bool                 // whether this host still delivers what dead runs wrote; may be nil
	void    func() (*os.File, error)    // opens a directory with nothing in it
	growing func(tree.Path) []tree.Path // files at and below a path that somebody still writes
	pushed  func(func() []hook.Event)   // told that a push did something; nil for none
	counted func(int64)                 // told how many entries a sweep saw
	sees    func() bool                 // whether every change so far was marked

	seenUntil func() time.Time // until when every change was marked, zero if that is not known; may be nil

	log *slog.Logger

	sweepUp chan struct{} // something for the sweep loop to look at
	saveUp  chan struct{} // something for the journal
	begun   chan struct{} // closed when the journal is read
	ended   chan struct{} // closed at the end of Run

	mu        sync.Mutex
	changed   chan struct{} // closed and renewed at each change that a waiter may care for
	*lane                   // the live one
	bulk      *lane
	owed      bool               // the live lane goes first: it had to wait for the bulk lane
	heavy     int                // entries from which on a subtree is the bulk lane's
	surplus   map[tree.Path]bool // seen on the slave alone and to be looked at, a portion a batch
	pushes    int64              // begun so far
	retries   map[tree.Path]*retry
	gate      *gate
	links     *links
	hot       *hot
	moves     moves
	linksAt   time.Time // when a sweep shall look for what the last one did not see; zero for never
	outage    outage
	paused    bool      // by the user
	holdUntil time.Time // nothing is sent before
	cut       bool      // a run was cut off since the last sweep began
	closed    bool      // it runs no more: what is saved now is all there is
	tried     int64     // times the target as a whole was found not to take changes
	sweeps    sweepState
	seen      atomic.Int64 // entries that the running sweep has compared
	remote    remote
	instance  instance  // of the daemon that was last asked
	another   time.Time // when it was found to be another one; zero for never
	unsure    unsure
	written   written
	attempts  *attempts
	counts    counters
}

// outage is why the whole target does not take anything at present.
type outage struct {
	err       error
	class     rsync.Class
	blocked   bool
	tries     int
	notBefore time.Time
}

// retry is a path that the target did not take.
type retry struct {
	mark  tree.Mark
	class rsync.Class
	text  string
	since time.Time
	tries int
	next  time.Time // zero while it is back in the set
	told  bool      // it was escalated
}

// remote is what the slave told of itself.
type remote struct {
	known         bool
	ours          bool // a receiver, not a foreign daemon
	links, owners string
}

type counters struct {
	batches, files, bytes, deletes, connections int64
	lastSuccess                                 time.Time
	inSync                                      time.Time
}

// replicaParts is what a replica is made of.
type replicaParts struct {
	Module  config.Module
	Target  config.Target
	Root    opener
	Slave   Slave
	Probe   func(context.Context) (rsync.Greeting, error)
	Store   targetStore
	Pauses  pauseStore
	Places  *rsync.Slots
	Slots   *rsync.Slots
	Warm    func(context.Context) error
	Drains  func() bool
	Void    func() (*os.File, error)
	Growing func(tree.Path) []tree.Path
	Count   func(int64)
	Size    int64 // entries of the module as far as known, for the brake
	Sees    func() bool
	Spread  func() time.Duration
	Until   func() time.Time
	Log     *slog.Logger
	Pushed  func(func() []hook.Event)
}

func newReplica(p replicaParts) *Replica {
	return &Replica{
		module:  p.Module,
		target:  p.Target,
		root:    p.Root,
		slave:   p.Slave,
		probe:   p.Probe,
		store:   p.Store,
		pauses:  p.Pauses,
		places:  p.Places,
		slots:   p.Slots,
		warm:    p.Warm,
		drains:  p.Drains,
		void:    p.Void,
		growing: p.Growing,
		pushed:  p.Pushed,
		counted: p.Count,
		sees:    p.Sees,
		spread:  p.Spread,

		seenUntil: p.Until,

		log:     p.Log.With("module", p.Module.Name, "target", p.Target.Name),
		lane:    newLane(),
		bulk:    newLane(),
		heavy:   heavyEntries,
		sweepUp: make(chan struct{}, 1),
		saveUp:  make(chan struct{}, 1),
		begun:   make(chan struct{}),
		ended:   make(chan struct{}),
		changed: make(chan struct{}),
		surplus: map[tree.Path]bool{},
		retries: map[tree.Path]*retry{},
		gate:    newGate(p.Module.DeleteGuard),
		links:   newLinks(),
		moves:   moves{by: map[tree.Path]*move{}, shared: map[tree.Path]bool{}},
		hot:     newHot(p.Module.Settle.Hot.Std()),
		remote:  remote{links: "unknown", owners: "unknown"},
		sweeps:  sweepState{entries: p.Size},
		unsure:  unsure{set: tree.NewSet(tree.DefaultCap)},

		attempts: newAttempts(),
	}
}

// Run sends what is marked and sweeps when asked until ctx ends, then saves
// what is not confirmed.
func (r *Replica) Run(ctx context.Context) error {
	defer close(r.ended)
	r.restore()
	close(r.begun)
	if !r.module.Sweep.AtStart {
		r.saveOrSay() // before anything is marked: only this record tells the next start of a kill
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.live(ctx) })
	g.Go(func() error { return r.carry(ctx) })
	g.Go(func() error { return r.sweeper(ctx) })
	g.Go(func() error { return r.keeper(ctx) })
	g.Go(func() error { return r.greeter(ctx) })
	if r.warm != nil {
		g.Go(func() error { return r.warm(ctx) })
	}
	err := g.Wait()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.saveOrSay()
	return err
}

// Mark says that p may differ. gone tells that the entry was seen leaving.
func (r *Replica) Mark(p tree.Path, what tree.What, gone bool) {
	r.mu.Lock()
	if gone && what&tree.Deep != 0 {
		r.leave(p)
	}
	rests := !gone && r.hot.absorbs(p, what)
	if !rests {
		r.mark(p, what)
		r.marks.events++
	}
	if gone {
		r.marks.gone++
	}
	r.mu.Unlock()
	if !rests {
		poke(r.wake)
	}
}

// mark needs the lock. A deep mark of the root is a sweep; in the set it would
// swallow marks that know more than a sweep can see.
func (r *Replica) mark(p tree.Path, what tree.What) {
	if p == tree.Root && what&tree.Deep != 0 {
		r.missed()
		return
	}
	r.noteEqual()
	r.moves.touch(p, what)
	r.marks.touch(time.Time{})
	r.set.Mark(p, what)
}

// large is the size in bytes from which on a file is the bulk lane's; 0 for none.
func (r *Replica) large() int64 { return int64(r.module.Lanes.Large) }

// poke tells a loop to look again; one that was told already needs no more.
func poke(loop chan<- struct{}) {
	select {
	case loop <- struct{}{}:
	default:
	}
}

// tellChange wakes those who wait for this replica's state. Needs the lock.
func (r *Replica) tellChange() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// asOf is when a clean target was last known to be equal: now while every change
// is seen, else when the last sweep began. Needs the lock.
func (r *Replica) asOf(now time.Time) time.Time {
	switch {
	case r.sees():
		return now
	case r.seenUntil != nil:
		return latest(r.counts.inSync, r.sweeps.began, r.seenUntil())
	}
	return latest(r.counts.inSync, r.sweeps.began)
}

// clean reports whether nothing is known to differ. Needs the lock.
func (r *Replica) clean() bool {
	return r.marked()+len(r.retries)+len(r.gate.held)+r.unsure.count() == 0 &&
		r.outage.err == nil && r.sweeps.complete && !r.sweeps.wanted && !r.sweeps.running && r.sweeps.finding.IsZero() && r.linksAt.IsZero()
}

func (r *Replica) state(now time.Time) status.State {
	_, still := r.still(now)
	switch {
	case still && r.flight.marks+r.bulk.flight.marks == 0 && !r.sweeps.running:
		return status.Paused
	case r.outage.err != nil && r.outage.blocked:
		return status.Blocked
	case r.outage.err != nil && r.outage.notBefore.After(now):
		return status.Backoff
	case r.flight.marks+r.bulk.flight.marks > 0:
		return status.Sending
	case r.sweeps.running:
		return status.Sweeping
	case r.outage.err != nil: // the next try is due or under way
		return status.Backoff
	case r.marked() > 0:
		return status.Settling
	}
	return status.Idle
}
