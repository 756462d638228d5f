package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/journal"
	"syncagent/agent/root"
	"syncagent/agent/status"
	"syncagent/agent/tree"
	"syncagent/agent/watch"
)

// guarded is a module's source over a real directory.
type guarded struct {
	*testing.T
	dir    string
	store  *fakeStore
	module config.Module
	*Source
}

func newGuarded(t *testing.T, change func(*config.Module)) *guarded {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	g := &guarded{T: t, dir: filepath.Join(dir, "root"), store: newFakeStore()}
	g.must(os.Mkdir(g.dir, 0o755))
	g.module = config.Module{Name: "data", Path: g.dir, Delete: true, Settings: config.NewMaster().Settings}
	g.module.Sweep.Every, g.module.Sweep.ChecksumEvery = 0, 0
	if change != nil {
		change(&g.module)
	}
	g.restart()
	return g
}

// restart makes another source of the same parts: an agent that was started
// again.
func (g *guarded) restart() {
	g.Source = newSource(g.module, g.store, slog.New(slog.DiscardHandler))
}

func (g *guarded) must(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

func (g *guarded) write(name string) {
	g.Helper()
	g.must(os.WriteFile(filepath.Join(g.dir, name), []byte("x"), 0o644))
}

// passes opens the root, which must pass.
func (g *guarded) passes() *view {
	g.Helper()
	v, err := g.open()
	if err != nil {
		g.Fatalf("blocked: %v", err)
	}
	g.must(v.Close())
	return v
}

// blocks opens the root, which must be blocked with the words.
func (g *guarded) blocks(words string) {
	g.Helper()
	v, err := g.open()
	if err == nil {
		v.Close()
		g.Fatal("the root passed")
	}
	if !strings.Contains(err.Error(), words) || g.Blocked() == "" {
		g.Errorf("error is %v", err)
	}
}

func (g *guarded) replace() {
	g.Helper()
	g.must(os.Rename(g.dir, g.dir+".old"))
	g.must(os.Mkdir(g.dir, 0o755))
	g.write("another")
}

func TestGuard(t *testing.T) {
	for name, tt := range map[string]struct {
		then  func(*guarded)
		words string // "": it passes
	}{
		"unchanged":         {func(*guarded) {}, ""},
		"missing":           {func(g *guarded) { g.must(os.Rename(g.dir, g.dir+".old")) }, "cannot be opened"},
		"replaced":          {(*guarded).replace, "is not the one it was"},
		"became a link":     {func(g *guarded) { g.must(os.Rename(g.dir, g.dir+".old")); g.must(os.Symlink(g.dir+".old", g.dir)) }, "is not the one it was"},
		"emptied unseen":    {func(g *guarded) { g.must(os.Remove(filepath.Join(g.dir, "f"))) }, "nobody saw its entries going"},
		"emptied and seen":  {func(g *guarded) { g.must(os.Remove(filepath.Join(g.dir, "f"))); g.guard.gone("f") }, ""},
		"something deeper":  {func(g *guarded) { g.must(os.Remove(filepath.Join(g.dir, "f"))); g.guard.gone("d/f") }, "nobody saw"},
		"state not written": {func(g *guarded) { g.store.err = errors.New("full") }, ""},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted %v", name, restarted), func(t *testing.T) {
				g := newGuarded(t, nil)
				g.write("f")
				g.passes()
				g.guard.count(1)
				if restarted {
					g.restart()
				}
				tt.then(g)
				if tt.words == "" {
					g.passes()
				} else {
					g.blocks(tt.words)
				}
			})
		}
	}
}

// The journal must have been read before anything is adopted, whoever opens
// the root first.
func TestRootIsComparedWithTheJournalFromTheFirstLookOn(t *testing.T) {
	g := newGuarded(t, nil)
	g.write("f")
	g.passes()
	g.replace()
	g.restart()
	g.blocks("is not the one it was")
	g.store.loadErr = errors.New("input/output error")
	g.restart()
	g.blocks("journal")
}

func TestRootIsNotAdoptedUnlessItCanBeKept(t *testing.T) {
	g := newGuarded(t, nil)
	g.store.err = errors.New("no space left on device")
	g.blocks("state directory")
	g.store.err = nil
	g.passes()
}

func TestGuardAcceptsAsConfigured(t *testing.T) {
	g := newGuarded(t, func(m *config.Module) { m.RootChange = "accept" })
	g.write("f")
	g.passes()
	g.replace()
	g.passes()
	g.restart()
	g.passes()
}

func TestApprovalOfARoot(t *testing.T) {
	g := newGuarded(t, nil)
	g.write("f")
	g.passes()
	g.replace()
	g.blocks("is not the one it was")
	held, ok := g.Held()
	if !ok || held.Digest == "" || held.Module != "data" {
		t.Fatalf("held is %+v", held)
	}
	g.must(os.Rename(g.dir, g.dir+".second"))
	g.must(os.Mkdir(g.dir, 0o755))
	g.blocks("is not the one it was")
	if ok, err := g.Approve(held.Digest); ok || err != nil {
		t.Errorf("an approval of another root: %v, %v", ok, err)
	}
	held, _ = g.Held()
	g.store.err = errors.New("full")
	if ok, err := g.Approve(held.Digest); ok || err == nil {
		t.Errorf("an approval that cannot be kept: %v, %v", ok, err)
	}
	g.store.err = nil
	if ok, err := g.Approve(held.Digest); !ok || err != nil {
		t.Errorf("the approval: %v, %v", ok, err)
	}
	g.passes()
	g.restart()
	g.passes()
}

func TestApprovalOfAnEmptyRoot(t *testing.T) {
	g := newGuarded(t, nil)
	g.write("f")
	g.passes()
	g.guard.count(1)
	g.must(os.Remove(filepath.Join(g.dir, "f")))
	g.blocks("empty")
	held, _ := g.Held()
	if ok, err := g.Approve(held.Digest); !ok || err != nil {
		t.Errorf("the approval: %v, %v", ok, err)
	}
	g.passes()
}

// A root that was empty once is guarded again as soon as it holds something.
func TestFilledRootIsGuardedAgain(t *testing.T) {
	g := newGuarded(t, nil)
	g.passes()
	g.write("f")
	g.passes()
	g.restart()
	g.passes()
	g.must(os.Remove(filepath.Join(g.dir, "f")))
	g.blocks("nobody saw")
}

// knows makes the guard remember a mount point that is not there.
func (g *guarded) knows(p tree.Path) {
	v := g.passes()
	id := v.identity
	id.Mounts = []root.Mount{{Path: p, FS: root.FS{Type: 1}}}
	g.guard.known = &id
}

func TestLostMount(t *testing.T) {
	g := newGuarded(t, nil)
	g.write("f")
	g.knows("a/m")
	v := g.passes()
	if !v.below("a/m/f") || !v.below("a/m") || v.below("a") || v.below("f") || !v.above("a") || v.above("f") {
		t.Errorf("lost is %+v", v.lost)
	}
	if !strings.Contains(g.Blocked(), "a/m") {
		t.Errorf("blocked is %q", g.Blocked())
	}
	held, ok := g.Held()
	if !ok {
		t.Fatal("nothing can be approved")
	}
	if ok, err := g.Approve(held.Digest); !ok || err != nil {
		t.Errorf("the approval: %v, %v", ok, err)
	}
	if v := g.passes(); len(v.lost) > 0 || g.Blocked() != "" {
		t.Errorf("after the approval: %+v, %q", v.lost, g.Blocked())
	}
}

func TestEmptyRootWithALostMountIsBlocked(t *testing.T) {
	g := newGuarded(t, nil)
	g.write("f")
	g.knows("m")
	g.guard.count(10)
	g.passes()
	g.must(os.Remove(filepath.Join(g.dir, "f")))
	g.blocks("nobody saw")
}

func TestConfirmSeesAnotherRoot(t *testing.T) {
	g := newGuarded(t, nil)
	v, err := g.open()
	g.must(err)
	defer v.Close()
	g.must(g.confirm(v))
	v.identity.Mounts = []root.Mount{{Path: "m", FS: root.FS{Type: 1}}}
	if err := g.confirm(v); err == nil {
		t.Error("a mount that went meanwhile was not noticed")
	}
	g.replace()
	if err := g.confirm(v); err == nil {
		t.Error("a root that was replaced meanwhile was not noticed")
	}
}

// With the module's record goes the knowledge which tree the targets hold.
func TestTargetsAreNotTrustedWithoutTheirRoot(t *testing.T) {
	for name, spoil := range map[string]func(*guarded){
		"torn":    func(g *guarded) { g.store.torn = &journal.CorruptError{Path: "x"} },
		"missing": func(g *guarded) { clear(g.store.modules) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(t, nil)
			b := newRig(t, func(m *config.Module) { m.FirstSync = "merge" })
			g.store.targets["data@s1"] = journal.Target{
				Remote: remoteName(b.target), FirstSyncDone: true, Pending: tree.Batch{{Path: "gone", What: tree.Content}},
			}
			g.passes()
			spoil(g)
			g.restart()
			b.Replica.root, b.Replica.store = g.Source, g.store
			b.restore()
			if b.sweeps.firstDone || b.set.Len() > 0 {
				t.Errorf("first sync done %v, %d marks", b.sweeps.firstDone, b.set.Len())
			}
		})
	}
}

// run runs the source until the test ends.
func (g *guarded) run() {
	g.Helper()
	done := make(chan error, 1)
	ctx := g.Context()
	go func() { done <- g.Source.Run(ctx) }()
	g.Cleanup(func() { g.must(<-done) })
	select {
	case <-g.ready:
	case <-time.After(10 * time.Second):
		g.Fatal("not ready after 10 s")
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func wantsSweep(r *Replica) bool { return under(r, func() bool { return r.sweeps.wanted }) }

func TestChangedRulesAreSweptWhateverTheStart(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*config.Module)
		sweep  bool
	}{
		"nothing": {func(*config.Module) {}, false},
		"rules":   {func(m *config.Module) { m.Filter = []string{"- *.tmp"} }, true},
		"path":    {func(m *config.Module) { m.Path += "/sub" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(t, func(m *config.Module) { m.Sweep.AtStart = false })
			g.must(os.Mkdir(filepath.Join(g.dir, "sub"), 0o755))
			g.passes()
			g.guard.count(1)
			tt.change(&g.module)
			g.restart()
			b := newRig(t, nil)
			b.swept(1)
			g.attach(b.Replica)
			g.run()
			eventually(t, "watching", g.watches)
			if got := wantsSweep(b.Replica); got != tt.sweep {
				t.Errorf("sweep wanted: %v", got)
			}
		})
	}
}

func TestSourceMarks(t *testing.T) {
	g := newGuarded(t, func(m *config.Module) { m.Filter = []string{"- *.tmp"} })
	g.module.Rules = (&rig{T: t}).rules(g.module.Filter)
	g.restart()
	b := newRig(t, nil)
	g.attach(b.Replica)
	g.run()
	eventually(t, "the first sweep", func() bool { return wantsSweep(b.Replica) })
	g.write("f")
	g.write("x.tmp")
	eventually(t, "the mark", func() bool { return under(b.Replica, func() bool { return b.set.Covers("f") }) })
	if under(b.Replica, func() bool { return b.set.Covers("x.tmp") }) {
		t.Error("an excluded file is marked")
	}
	g.detach("s1")
	if len(g.Replicas()) > 0 {
		t.Error("still marked after detach")
	}
}

// A replaced root is waited for; with the old one back everything is swept,
// since nobody watched meanwhile.
func TestSourceRecovers(t *testing.T) {
	g := newGuarded(t, nil)
	g.write("f")
	b := newRig(t, nil)
	g.attach(b.Replica)
	g.run()
	eventually(t, "the first sweep", func() bool { return wantsSweep(b.Replica) })
	b.sweepStart()
	g.replace()
	poke(g.look)
	eventually(t, "blocked", func() bool { return g.Snapshot().Targets[0].State == status.Blocked })
	g.must(os.RemoveAll(g.dir))
	g.must(os.Rename(g.dir+".old", g.dir))
	eventually(t, "no longer blocked", func() bool { return g.Blocked() == "" })
	eventually(t, "a sweep", func() bool { return wantsSweep(b.Replica) })
	eventually(t, "watching", g.watches)
	g.write("later")
	eventually(t, "the mark", func() bool { return under(b.Replica, func() bool { return b.set.Covers("later") }) })
}

// A watcher that cannot run is started again and again, but not without pause.
func TestWatcherThatFailsIsNotStartedInALoop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGuarded(t, func(m *config.Module) { m.Watcher = "no such" })
		ctx, cancel := context.WithCancel(t.Context())
		log := &countingLog{Handler: slog.DiscardHandler, enough: 100, stop: cancel}
		g.log = slog.New(log)
		done := make(chan error, 1)
		go func() { done <- g.Source.Run(ctx) }()
		time.Sleep(10*recheckEvery + recheckEvery/2)
		cancel()
		g.must(<-done)
		if log.n < 5 || log.n > 11 {
			t.Errorf("started %d times in ten pauses", log.n)
		}
	})
}

// countingLog counts records and calls stop when there are enough.
type countingLog struct {
	slog.Handler
	n, enough int
	stop      func()
}

func (c *countingLog) Enabled(context.Context, slog.Level) bool { return true }

func (c *countingLog) Handle(context.Context, slog.Record) error {
	if c.n++; c.n == c.enough {
		c.stop()
	}
	return nil
}

// In sync is said only while every change would be noticed.
func TestUnwatchedIsNotInSync(t *testing.T) {
	g := newGuarded(t, nil)
	b := newRig(t, nil)
	b.sees = g.sees
	b.swept(1)
	g.mu.Lock()
	g.replicas = []*Replica{b.Replica}
	g.mu.Unlock()
	if s := g.Snapshot().Targets[0]; !s.InSyncAsOf.IsZero() {
		t.Errorf("in sync as of %v without a watcher", s.InSyncAsOf)
	}
	g.setWatcher(watch.New(watch.Config{Root: g.dir}))
	if s := g.Snapshot().Targets[0]; !s.InSyncAsOf.IsZero() {
		t.Errorf("in sync as of %v before everything was watched", s.InSyncAsOf)
	}
	g.watching = true
	if s := g.Snapshot().Targets[0]; s.InSyncAsOf.IsZero() {
		t.Error("not in sync although everything is watched and equal")
	}
}

// watches reports whether the whole tree is watched.
func (g *guarded) watches() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.watching
}

func TestReloadBeforeTheStartIsRefused(t *testing.T) {
	m := NewMaster(MasterConfig{Config: config.NewMaster(), Log: slog.New(slog.DiscardHandler)})
	if err := m.Reload(t.Context(), config.NewMaster()); err == nil || !strings.Contains(err.Error(), "try again") {
		t.Errorf("error is %v", err)
	}
}
