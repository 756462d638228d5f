package agent

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/status"
	"syncagent/agent/watch"
)

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
			g.must(os.MkdirAll(filepath.Join(g.dir, "sub/d"), 0o755))
			g.passes()
			g.guard.count(1)
			tt.change(&g.module)
			g.restart()
			b := newRig(t, nil)
			b.swept(1)
			g.attach(b.Replica)
			g.run()
			eventually(t, "watching", g.watches)
			if tt.sweep {
				eventually(t, "sweep wanted", func() bool { return wantsSweep(b.Replica) })
			} else if wantsSweep(b.Replica) {
				t.Error("sweep wanted")
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
	poke(g.again)
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
