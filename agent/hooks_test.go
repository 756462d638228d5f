package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/hook"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// told keeps what a hook was told, in words.
type told struct {
	mu   sync.Mutex
	list []string
}

func (t *told) Run(_ context.Context, e hook.Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, words(e)...)
	return nil
}

func words(e hook.Event) []string {
	var list []string
	for _, p := range e.Paths {
		word := strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Target, p.Op, p.Path))
		if !e.OK {
			word += ": " + p.Error
		}
		list = append(list, word)
	}
	return list
}

// all returns what was told so far and forgets it.
func (t *told) all() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.list
	t.list = nil
	return list
}

func events(list ...hook.Event) func() []hook.Event { return func() []hook.Event { return list } }

// TestReplicaTellsPush: what is confirmed and what failed is told after a push,
// and nothing of what was not sent.
func TestReplicaTellsPush(t *testing.T) {
	b := newRig(t, nil)
	var got []string
	b.pushed = func(did func() []hook.Event) {
		for _, e := range did() {
			got = append(got, words(e)...)
		}
	}
	b.write("a", "1")
	b.write("bad", "1")
	b.slave.refuse["bad"] = rsync.Partial
	for _, name := range []string{"a", "bad", "gone"} {
		b.Mark(tree.Path(name), tree.Content, false)
	}
	b.slave.has["gone"] = b.slave.has["a"]
	b.step(t.Context(), b.lane)
	for i, w := range got {
		got[i], _, _ = strings.Cut(w, ":")
	}
	if want := []string{"s1 put a", "s1 delete gone", "s1 put bad"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	got = nil
	b.probe = failingProbe(errors.New("no route"))
	b.outage.err = errors.New("x")
	b.Mark("a", tree.Content, false)
	b.step(t.Context(), b.lane)
	if len(got) > 0 {
		t.Errorf("told without a push: %q", got)
	}
}

// TestScopes: each scope and when gets its own part, and what a filter leaves
// out nobody.
func TestScopes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := map[string]*told{}
		build := func(c config.Hook) (*hook.Hook, error) {
			runs[c.Name] = &told{}
			return hook.New(hook.Spec{Name: c.Name, Runner: runs[c.Name], Timeout: time.Minute, Queue: 100, Log: slog.New(slog.DiscardHandler)}), nil
		}
		s1, s2 := newRig(t, nil), newRig(t, nil)
		s1.target.Name, s2.target.Name = "s1", "s2"
		m := newModuleHooks(build, func() []*Replica { return []*Replica{s1.Replica, s2.Replica} }, slog.New(slog.DiscardHandler))
		hooks := []config.Hook{config.NewHook("good", "command"), config.NewHook("bad", "command"), config.NewHook("php", "command"), config.NewHook("all", "command")}
		hooks[1].When, hooks[2].When, hooks[3].Scope = config.WhenFailure, config.WhenAlways, config.ScopeAll
		hooks[2].Include = []string{"+ *.php"}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		m.set(ctx, hooks, "/www")
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		event := func(target string, ok bool, paths ...string) hook.Event {
			e := hook.Event{Module: "www", Target: target, OK: ok}
			for _, p := range paths {
				e.Paths = append(e.Paths, hook.Path{Path: tree.Path(p), Op: hook.Put, Error: "no"})
			}
			return e
		}
		check := func(when string, want map[string][]string) {
			t.Helper()
			synctest.Wait()
			for name, r := range runs {
				if got := r.all(); !reflect.DeepEqual(got, want[name]) && len(got)+len(want[name]) > 0 {
					t.Errorf("%s: hook %s got %q, want %q", when, name, got, want[name])
				}
			}
		}

		s2.Mark("a.php", tree.Content, false)
		m.push(events(event("s1", true, "a.php", "b"), event("s1", false, "c.php")))
		check("one target lacks a path", map[string][]string{
			"good": {"s1 put a.php", "s1 put b"}, "bad": {"s1 put c.php: no"}, "php": {"s1 put a.php", "s1 put c.php: no"}, "all": {"put b"},
		})
		time.Sleep(time.Hour)
		check("it still does", nil)
		under(s2.Replica, s2.set.Take)
		time.Sleep(awaitEvery)
		check("it has it", map[string][]string{"all": {"put a.php"}})

		before := m.hooks()[0].Hook
		hooks[2].Include = nil
		m.set(ctx, hooks[:3], "/www")
		if m.hooks()[0].Hook != before || len(m.hooks()) != 3 {
			t.Error("a reload did not keep the hook that is the same")
		}
		m.push(events(event("s2", true, "d")))
		check("after a reload", map[string][]string{"good": {"s2 put d"}, "php": {"s2 put d"}})
		cancel()
		<-done
	})
}

// TestStateWatch: a hook is told once an outage has lasted, and of its end only if it
// was.
func TestStateWatch(t *testing.T) {
	c := config.NewHook("h", "command")
	h := &stateHook{c, hook.New(hook.Spec{Name: "h", Log: slog.New(slog.DiscardHandler)})}
	w := stateWatch{known: map[targetKey]*trouble{}}
	begin := time.Unix(1000, 0)
	var got []string
	look := func(after time.Duration, s *hook.State) {
		w.look(begin.Add(after), targetKey{"m", "t"}, s, []*stateHook{h}, func(_ *stateHook, s hook.State) {
			got = append(got, fmt.Sprintf("%s %s since %s", after, s.State, s.Since.Sub(begin)))
		})
	}
	down, blocked := &hook.State{State: "backoff"}, &hook.State{State: "blocked"}
	look(0, nil)
	look(time.Minute, down)
	look(4*time.Minute, nil) // over before anybody was told
	look(5*time.Minute, down)
	look(9*time.Minute, blocked)
	look(10*time.Minute, blocked)
	look(11*time.Minute, down)
	look(12*time.Minute, nil)
	look(13*time.Minute, nil)
	want := []string{"10m0s blocked since 5m0s", "12m0s well since 5m0s"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A hook for all targets must not run while a large file is still on its way to
// one of them.
func TestWhatALaneHoldsIsLacking(t *testing.T) {
	b := newRig(t, nil)
	for name, l := range map[string]*lane{"live": b.lane, "bulk": b.bulk} {
		mark := tree.Batch{{Path: "d/large", What: tree.Content}}
		for place, put := range map[string]func(){
			"set":    func() { l.set.Restore(mark) },
			"waits":  func() { l.waits.Restore(mark) },
			"flight": func() { l.flight.batch = mark },
		} {
			put()
			for _, p := range []tree.Path{"d", "d/large", "d/large/below"} {
				if !b.lacks(p) {
					t.Errorf("%s lane, %s: %q is taken for done", name, place, p)
				}
			}
			if b.lacks("d/other") {
				t.Errorf("%s lane, %s: another path is lacking", name, place)
			}
			l.set.Take()
			l.waits.Take()
			l.flight = flight{}
		}
	}
}

// An agent without such a hook has nothing to wake up for.
func TestStatesAreLookedAtForHooksOnly(t *testing.T) {
	if nextLook(nil) != nil {
		t.Error("looks for nobody")
	}
	for after, want := range map[time.Duration]time.Duration{
		time.Second: stateOften, 2 * time.Minute: 4 * time.Second, time.Hour: stateSeldom,
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			short, long := &stateHook{}, &stateHook{}
			short.config.After, long.config.After = config.Duration(after), config.Duration(2*after)
			<-nextLook([]*stateHook{long, short})
			if got := time.Since(begin); got != want {
				t.Errorf("after %v: %v, want %v", after, got, want)
			}
		})
	}
}
