package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/hook"
	"syncagent/agent/tree"
)

// announced makes an announcer of the guarded root, and returns what it tells.
func announced(g *guarded) (*announcer, *[]string) {
	var got []string
	push := func(did func() []hook.Event) {
		for _, e := range did() {
			got = append(got, words(e)...)
		}
	}
	g.hooks = &moduleHooks{}
	a := newAnnouncer(g.Source)
	a.tell = push
	return a, &got
}

// TestAnnouncerTellsWhatIsThere: state, not events: a directory that went with all
// that was in it is one delete, and what the rules leave out is nobody's business.
func TestAnnouncerTellsWhatIsThere(t *testing.T) {
	g := newGuarded(t, nil)
	g.module.Rules = (&rig{T: t}).rules([]string{"- *.tmp"})
	g.restart()
	g.must(os.MkdirAll(filepath.Join(g.dir, "new"), 0o755))
	for _, name := range []string{"f", "mode", "x.tmp"} {
		g.write(name)
	}
	a, got := announced(g)
	for p, what := range map[tree.Path]tree.What{
		"f": tree.Content, "mode": tree.Attrs, "x.tmp": tree.Content, "new": tree.Deep, "gone": tree.Content,
		"d": tree.Deep, "d/1": tree.Content, "d/2": tree.Content, "gone.tmp": tree.Content,
	} {
		a.Mark(p, what, false)
	}
	a.step()
	slices.Sort(*got)
	want := []string{"attrs mode", "delete d", "delete gone", "put f", "tree new"}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got %q, want %q", *got, want)
	}
}

// TestAnnouncerKeepsWhatItCannotLookAt: a blocked root loses no mark.
func TestAnnouncerKeepsWhatItCannotLookAt(t *testing.T) {
	g := newGuarded(t, nil)
	a, got := announced(g)
	real := a.look
	a.look = func(tree.Batch, time.Time) (*look, error) { return nil, errors.New("blocked") }
	g.write("f")
	a.Mark("f", tree.Content, false)
	first := a.marks.first
	a.step()
	if len(*got) > 0 || !a.set.Covers("f") || !a.marks.first.Equal(first) {
		t.Fatalf("told %q; kept: %v", *got, a.set.Covers("f"))
	}
	if wait, some := a.due(time.Now()); !some || wait <= 0 {
		t.Errorf("the next look is in %v, %v", wait, some)
	}
	a.look = real
	a.step()
	if !reflect.DeepEqual(*got, []string{"put f"}) {
		t.Errorf("got %q", *got)
	}
}

// TestAnnouncerSettles: a burst is one batch, and what is marked at the end is
// still told.
func TestAnnouncerSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []tree.Batch
		a := newAnnouncer(&Source{hooks: &moduleHooks{}, log: slog.New(slog.DiscardHandler)})
		a.module.Settle = config.NewMaster().Settle
		a.look = func(b tree.Batch, _ time.Time) (*look, error) {
			batches = append(batches, b)
			return nil, errors.New("enough")
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()
		synctest.Wait()
		for _, p := range []tree.Path{"a", "b", "a"} {
			a.Mark(p, tree.Content, false)
		}
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if len(batches) != 1 || len(batches[0]) != 2 {
			t.Errorf("batches: %v", batches)
		}
		a.Mark("c", tree.Content, false)
		cancel()
		<-done
		if len(batches) != 2 || len(batches[1]) != 3 {
			t.Errorf("at the end: %v", batches)
		}
	})
}

// TestHookListsTrees: a hook that chooses by name is given what is in a directory
// that went as a whole, but for what is still on its way.
func TestHookListsTrees(t *testing.T) {
	b := newRig(t, nil)
	queue := func(n int) config.Hook {
		h := config.NewHook("h", "command")
		h.Include, h.Queue = []string{"+ *.php"}, n
		return h
	}
	for name, tt := range map[string]struct {
		hook    config.Hook
		want    []string
		dropped uint64
	}{
		"include":       {queue(100), []string{"s1 put d/a.php", "s1 put d/b.php"}, 0},
		"full":          {queue(1), []string{"s1 put d/a.php"}, 1},
		"all of it":     {config.NewHook("h", "command"), []string{"s1 tree d"}, 0},
		"include, root": {queue(100), []string{"s1 put d/a.php", "s1 put d/b.php"}, 0},
		"bare socket":   {config.Hook{Name: "h", Format: config.FormatPath, Queue: 100}, []string{"s1 tree d", "s1 put d/a.php", "s1 put d/b.php", "s1 put d/x"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := &moduleHooks{
				replicas: func() []*Replica { return []*Replica{b.Replica} },
				below: func(_ tree.Path, show func(tree.Path, bool)) {
					for _, p := range []tree.Path{"d/a.php", "d/b.php", "d/late.php", "d/x"} {
						show(p, false)
					}
				},
			}
			b.Mark("d/late.php", tree.Content, false)
			matches, err := tt.hook.Matcher("/www")
			if err != nil {
				t.Fatal(err)
			}
			h := &moduleHook{tt.hook, matches, hook.New(hook.Spec{Name: "h", Log: b.log})}
			e := hook.Event{Target: "s1", OK: true, Paths: []hook.Path{{Path: "d", Op: hook.Tree, Dir: true}}}
			if name == "include, root" {
				e.Paths[0].Path = tree.Root
			}
			e.Paths = m.listed(h, e)
			if got := words(e); !reflect.DeepEqual(got, tt.want) || h.Stats().Dropped != tt.dropped {
				t.Errorf("got %q and dropped %d, want %q and %d", got, h.Stats().Dropped, tt.want, tt.dropped)
			}
		})
	}
}

// TestWhatOneTargetLackedIsNotForgotten: pushes of other paths neither ask for what
// waits each time, nor keep it from being asked for.
func TestWhatOneTargetLackedIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s1, s2 := newRig(t, nil), newRig(t, nil)
		got := &told{}
		build := func(config.Hook) (*hook.Hook, error) {
			return hook.New(hook.Spec{Name: "all", Runner: got, Timeout: time.Minute, Queue: 100, Log: s1.log}), nil
		}
		m := newModuleHooks(build, func() []*Replica { return []*Replica{s1.Replica, s2.Replica} }, s1.log)
		all := config.NewHook("all", "command")
		all.Scope = config.ScopeAll
		ctx, cancel := context.WithCancel(t.Context())
		m.set(ctx, []config.Hook{all}, "/www")
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		push := func(p tree.Path) {
			m.push(events(hook.Event{Target: "s1", OK: true, Paths: []hook.Path{{Path: p, Op: hook.Put}}}))
			synctest.Wait()
		}
		s2.Mark("late", tree.Content, false)
		push("late")
		under(s2.Replica, s2.set.Take)
		push("other")
		if now := got.all(); !reflect.DeepEqual(now, []string{"put other"}) {
			t.Errorf("after the push of another path: %q", now)
		}
		for range 5 {
			time.Sleep(awaitEvery / 4)
			push("other")
		}
		if later := got.all(); !slices.Contains(later, "put late") {
			t.Errorf("a second later: %q", later)
		}
		cancel()
		<-done
	})
}
