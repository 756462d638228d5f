package agent

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"syncagent/agent/config"
	"syncagent/agent/filter"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// rig is one replica between a real directory and a fake slave.
type rig struct {
	*testing.T
	dir    string
	slave  *fakeSlave
	store  *fakeStore
	root   *fakeRoot
	module config.Module
	target config.Target
	probe  func(context.Context) (rsync.Greeting, error)
	places *rsync.Slots
	slots  *rsync.Slots
	spread time.Duration // over which sweeps of many begin
	sees   func() bool
	heavy  int // entries that make a subtree heavy, 0 for the default
	*Replica
	stop func()
}

func failingProbe(err error) func(context.Context) (rsync.Greeting, error) {
	return func(context.Context) (rsync.Greeting, error) { return rsync.Greeting{}, err }
}

func answeringProbe(motd string) func(context.Context) (rsync.Greeting, error) {
	return func(context.Context) (rsync.Greeting, error) { return rsync.Greeting{MOTD: []string{motd}}, nil }
}

// newRig makes a replica that does not run yet; change adjusts the module.
func newRig(t *testing.T, change func(*config.Module)) *rig {
	t.Helper()
	b := &rig{
		T: t, dir: t.TempDir(), store: newFakeStore(),
		slave:  &fakeSlave{has: entries{}, refuse: map[tree.Path]rsync.Class{}},
		target: config.Target{Name: "s1", Host: "h", Port: 873, Module: "data"},
		probe:  func(ctx context.Context) (rsync.Greeting, error) { return rsync.Greeting{}, ctx.Err() },
		places: rsync.NewSlots(2), slots: rsync.NewSlots(3),
	}
	b.root = &fakeRoot{dir: b.dir}
	b.module = config.Module{Name: "data", Path: b.dir, Delete: true, Settings: config.NewMaster().Settings}
	b.module.FirstSync = "mirror"
	if change != nil {
		change(&b.module)
	}
	if b.module.Rules == nil {
		b.module.Rules = b.rules(b.module.Filter)
	}
	if b.module.Rules.HasRegexps() {
		b.slave.excludes = b.module.Rules.Excludes
	}
	b.renew()
	return b
}

func (b *rig) rules(lines []string) *filter.Rules {
	b.Helper()
	rules, err := filter.Compile(lines)
	b.must(err)
	return rules
}

// renew makes another replica of the same parts: an agent that was started
// again.
func (b *rig) renew() {
	b.Replica = newReplica(replicaParts{
		Module: b.module, Target: b.target, Root: b.root, Slave: b.slave, Store: b.store, Pauses: b.store, Places: b.places, Slots: b.slots,
		Probe:   func(ctx context.Context) (rsync.Greeting, error) { return b.prober()(ctx) },
		Void:    func() (*os.File, error) { return os.Open(b.TempDir()) },
		Growing: func(tree.Path) []tree.Path { return nil },
		Spread:  func() time.Duration { return b.spread },
		Count:   func(int64) {}, Sees: func() bool { return b.sees == nil || b.sees() }, Log: slog.New(slog.DiscardHandler),
	})
	if b.heavy > 0 {
		b.Replica.heavy = b.heavy
	}
}

// start runs the replica until the test ends or stop is called, which then
// waits for it.
func (b *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Replica.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.Errorf("replica ended: %v", err)
		}
	})
	b.stop = stop
	b.Cleanup(stop)
}

func (b *rig) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *rig) write(name, content string) {
	b.Helper()
	path := filepath.Join(b.dir, name)
	b.must(os.MkdirAll(filepath.Dir(path), 0o755))
	b.must(os.WriteFile(path, []byte(content), 0o644))
}

func (b *rig) remove(name string) {
	b.Helper()
	b.must(os.RemoveAll(filepath.Join(b.dir, name)))
}

// both has the content on the master and on the slave.
func (b *rig) both(name, content string) {
	b.Helper()
	b.write(name, content)
	b.slaveHas(name, content)
}

// change does something to the slave under its lock.
func (b *rig) change(do func(*fakeSlave)) {
	b.slave.mu.Lock()
	defer b.slave.mu.Unlock()
	do(b.slave)
}

// slow has every call to the slave take that long.
func (b *rig) slow(d time.Duration) { b.change(func(s *fakeSlave) { s.delay = d }) }

func (b *rig) answers(probe func(context.Context) (rsync.Greeting, error)) {
	b.change(func(*fakeSlave) { b.probe = probe })
}

// answersLines is a daemon with this message of the day.
func (b *rig) answersLines(motd string) {
	b.answers(func(context.Context) (rsync.Greeting, error) {
		return rsync.Greeting{MOTD: strings.Split(motd, "\n")}, nil
	})
}

func (b *rig) prober() func(context.Context) (rsync.Greeting, error) {
	b.slave.mu.Lock()
	defer b.slave.mu.Unlock()
	return b.probe
}

// sweepsSeen counts the slave's comparisons, asked its dry runs of deletes,
// saves the journal's writes.
func (b *rig) sweepsSeen() (n int) { b.change(func(s *fakeSlave) { n = s.compared }); return n }
func (b *rig) asked() (n int)      { b.change(func(s *fakeSlave) { n = s.asked }); return n }

func (b *rig) saves() int {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	return b.store.saves
}

// left counts what the slave has at and below p.
func (b *rig) left(p tree.Path) (n int) {
	b.change(func(s *fakeSlave) { n = len(s.has.below(p)) })
	return n
}

func (b *rig) slaveHas(name, content string) {
	b.slave.mu.Lock()
	defer b.slave.mu.Unlock()
	p := tree.Path(name)
	b.slave.has[p] = content
	for p = p.Parent(); p != tree.Root; p = p.Parent() {
		b.slave.has[p] = isDir
	}
}

// equal requires the slave's tree to be the master's.
func (b *rig) equal() {
	b.Helper()
	want, err := entriesOf(b.dir)
	b.must(err)
	b.slave.mu.Lock()
	defer b.slave.mu.Unlock()
	if diff := cmp.Diff(want, b.slave.has); diff != "" {
		b.Errorf("slave (-want +got):\n%s", diff)
	}
}

func (b *rig) slaveIs(has bool, paths ...tree.Path) {
	b.Helper()
	b.slave.mu.Lock()
	defer b.slave.mu.Unlock()
	for _, p := range paths {
		if _, there := b.slave.has[p]; there != has {
			b.Errorf("slave has %q: %v", p, there)
		}
	}
}

// sent returns the batches sent so far and forgets them.
func (b *rig) batches() []rsync.Batch {
	b.slave.mu.Lock()
	defer b.slave.mu.Unlock()
	list := b.slave.sent
	b.slave.sent = nil
	return list
}

// swept marks the replica as one whose first sweep found everything equal.
func (b *rig) swept(entries int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sweeps.complete, b.sweeps.firstDone, b.sweeps.entries = true, true, entries
}

// under reads a fact of the replica under its lock.
func under[T any](r *Replica, read func() T) T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return read()
}

func (b *rig) isClean() bool { return under(b.Replica, b.clean) }

// bubble runs a test with a clock of its own.
func bubble(t *testing.T, run func(*testing.T)) {
	t.Helper()
	synctest.Test(t, run)
}

func (f *fakeStore) setErr(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}
