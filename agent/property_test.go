package agent

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"syncagent/agent/config"
	"syncagent/agent/filter"
	"syncagent/agent/root"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// Whatever happens in whatever order: a path that differs is known to be dirty,
// clean means equal, and once everything works again all becomes equal.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rapid.SyncTest(rt, func(rt *rapid.T) { live(t, rt) })
	})
}

func live(t *testing.T, rt *rapid.T) {
	w := newWorld(t, rt)
	defer func() { w.stop() }()
	actions := map[string]func(*rapid.T){"": w.check}
	for name, act := range w.actions() {
		actions[name] = func(rt *rapid.T) { act(rt); synctest.Wait() }
	}
	rt.Repeat(actions)
	w.heal(rt)
}

var errKilled = errors.New("killed")

// world is a rig to which random things happen.
type world struct {
	*rig
	blind bool // of what lies on a lost mount
}

func newWorld(t *testing.T, rt *rapid.T) *world {
	w := &world{rig: newRig(t, func(m *config.Module) {
		m.DeleteGuard = rapid.SampledFrom([]config.Guard{{Off: true}, {Percent: 30, Min: 2}, {Percent: 30, Min: 2, Files: 3}}).Draw(rt, "guard")
		m.FirstSync = rapid.SampledFrom([]string{"merge", "mirror"}).Draw(rt, "first sync")
		m.Settle.Hot = config.Duration(rapid.SampledFrom([]time.Duration{0, 10 * time.Millisecond, 3 * time.Second}).Draw(rt, "hot"))
		m.Sweep.AtStart = false
		if rapid.Bool().Draw(rt, "expressions") {
			var err error
			if m.Rules, err = (*filter.Rules)(nil).WithRegexps([]string{"(.*/)?c", "b/a"}); err != nil {
				rt.Fatal(err)
			}
		}
		m.Lanes.Large = config.Size(rapid.SampledFrom([]int{0, 2}).Draw(rt, "large"))
	})}
	w.heavy = 3
	w.Replica.heavy = w.heavy
	if rapid.Bool().Draw(rt, "small set") {
		w.set = tree.NewSet(4)
	}
	for _, p := range rapid.SliceOfN(pathGen(), 0, 5).Draw(rt, "on the slave") {
		if _, taken := w.slave.has[p]; !taken && !w.excluded(p) && w.slave.has[p.Parent()] != "x" {
			w.slaveHas(string(p), "x")
		}
	}
	for p, content := range w.slave.has {
		if content == "x" && len(w.slave.has.below(p)) > 1 {
			w.slave.has[p] = isDir
		}
	}
	w.watched(true)
	w.start()
	return w
}

// excluded reports whether an expression leaves p out, which none does by its kind.
// The slave has nothing of it, and must never have.
func (w *world) excluded(p tree.Path) bool { return w.module.Rules.Excludes(p, false) }

func pathGen() *rapid.Generator[tree.Path] {
	return rapid.Map(rapid.StringMatching("[abc](/[abc](/[abc])?)?"), func(s string) tree.Path { return tree.Path(s) })
}

func (w *world) path(rt *rapid.T) tree.Path { return pathGen().Draw(rt, "path") }

func (w *world) abs(p tree.Path) string { return filepath.Join(w.dir, string(p)) }

// dirs makes what is above p directories, and tells as a watcher would.
func (w *world) dirs(p tree.Path) {
	if p == tree.Root {
		return
	}
	w.dirs(p.Parent())
	info, err := os.Lstat(w.abs(p))
	if err == nil && info.IsDir() {
		return
	}
	if err == nil {
		w.goesQuietly(p)
	}
	w.must(os.Mkdir(w.abs(p), 0o755))
	w.Mark(p, tree.Content|tree.Deep, false)
}

// goesQuietly removes p; of what was in it nobody tells.
func (w *world) goesQuietly(p tree.Path) {
	info, err := os.Lstat(w.abs(p))
	if err != nil {
		return
	}
	w.must(os.RemoveAll(w.abs(p)))
	what := tree.Content
	if info.IsDir() {
		what |= tree.Deep
	}
	w.Mark(p, what, true)
}

func (w *world) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"write": func(rt *rapid.T) {
			p := w.path(rt)
			w.dirs(p.Parent())
			if info, err := os.Lstat(w.abs(p)); err == nil && info.IsDir() {
				w.goesQuietly(p)
			}
			w.must(os.WriteFile(w.abs(p), []byte(rapid.StringMatching("[xyz]{1,2}").Draw(rt, "content")), 0o644))
			w.Mark(p, tree.Content, false)
		},
		"mkdir": func(rt *rapid.T) { w.dirs(w.path(rt)) },
		"remove": func(rt *rapid.T) {
			if p := w.path(rt); exists(w.abs(p)) {
				if info, _ := os.Lstat(w.abs(p)); info.IsDir() {
					w.goes(string(p))
				} else {
					w.goesQuietly(p)
				}
			}
		},
		"move away": func(rt *rapid.T) { w.goesQuietly(w.path(rt)) },
		"overflow": func(rt *rapid.T) {
			p := w.path(rt)
			_ = os.RemoveAll(w.abs(p)) // nobody tells
			w.Mark(tree.Root, tree.Deep, false)
		},
		"slave refuses": func(rt *rapid.T) { w.refuse(w.path(rt), rsync.Partial) },
		"slave is down": func(rt *rapid.T) {
			w.breakDown(rapid.SampledFrom([]rsync.Class{rsync.Transient, rsync.Auth, rsync.DiskFull}).Draw(rt, "class"))
		},
		"slave is well":  func(*rapid.T) { w.accept() },
		"bulk is slow":   func(*rapid.T) { w.change(func(s *fakeSlave) { s.carrying = 100 * time.Millisecond }) },
		"bulk is quick":  func(*rapid.T) { w.change(func(s *fakeSlave) { s.carrying = 0 }) },
		"slave is slow":  func(*rapid.T) { w.slow(30 * time.Millisecond) },
		"slave is quick": func(*rapid.T) { w.slow(0) },
		"blocked":        func(*rapid.T) { w.root.set(&blockedError{why: "blocked"}) },
		"passes":         func(*rapid.T) { w.passes() },
		"mount is lost": func(rt *rapid.T) {
			w.blind = true
			w.root.set(nil, root.Difference{Path: w.path(rt)})
		},
		"sweep": func(*rapid.T) { w.RequestSweep(false) },
		"slave is another one": func(rt *rapid.T) { // of the same content
			w.answersLines(greeting(rapid.SampledFrom([]string{"p1", "p2"}).Draw(rt, "place"), "b1", false))
		},
		"approve": func(*rapid.T) {
			if h, ok := w.Held(); ok {
				w.Approve(h.Digest)
			}
		},
		"restart": func(*rapid.T) { w.restart(false) },
		"crash": func(*rapid.T) {
			w.store.setErr(errKilled)
			w.restart(false)
		},
		"pause":    func(*rapid.T) { _ = w.SetPaused(true) },
		"resume":   func(*rapid.T) { _ = w.SetPaused(false) },
		"a moment": func(*rapid.T) { time.Sleep(10 * time.Millisecond) },
		"a while":  func(*rapid.T) { time.Sleep(2 * time.Second) },
		"an hour":  func(*rapid.T) { time.Sleep(time.Hour) },
	}
}

// passes does what a source does when its root is back.
func (w *world) passes() {
	w.blind = false
	w.root.set(nil)
	w.Recover()
	w.Mark(tree.Root, tree.Deep, false)
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// restart starts another agent; sweep tells whether it sweeps at its start.
func (w *world) restart(sweep bool) {
	w.stop()
	w.store.setErr(nil)
	w.renew()
	w.start()
	synctest.Wait()
	w.watched(sweep)
}

// check compares both sides and requires every difference to be known.
func (w *world) check(rt *rapid.T) {
	master, err := entriesOf(w.dir)
	if err != nil {
		rt.Fatal(err)
	}
	maps.DeleteFunc(master, func(p tree.Path, _ string) bool { return w.excluded(p) })
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slave.mu.Lock()
	defer w.slave.mu.Unlock()
	if w.slave.collided != "" {
		rt.Fatal(w.slave.collided)
	}
	if w.blind {
		return
	}
	if w.clean() {
		if diff := cmp.Diff(master, w.slave.has); diff != "" {
			rt.Fatalf("clean, but slave is (-want +got):\n%s", diff)
		}
		return
	}
	if !w.sweeps.oldest().IsZero() {
		return // a sweep will find it
	}
	for _, p := range different(master, w.slave.has) {
		if !w.dirty(master, p) {
			rt.Fatalf("%q differs and nobody knows", p)
		}
	}
}

func different(a, b entries) []tree.Path {
	var list []tree.Path
	for p := range a {
		if a[p] != b[p] {
			list = append(list, p)
		}
	}
	for p := range b {
		if _, ok := a[p]; !ok {
			list = append(list, p)
		}
	}
	return list
}

// dirty reports whether something will have p looked at.
func (w *world) dirty(master entries, p tree.Path) bool {
	all := tree.NewSet(tree.DefaultCap)
	w.lane.addTo(all)
	w.bulk.addTo(all)
	w.hot.addTo(all)
	marks := all.Take()
	for _, t := range w.retries {
		marks = append(marks, t.mark)
	}
	for q := range w.surplus {
		marks = append(marks, tree.Mark{Path: q, What: tree.Deep})
	}
	for q := range w.gate.held {
		marks = append(marks, tree.Mark{Path: q, What: tree.Deep})
	}
	for _, m := range marks {
		if m.Path == p || m.Path.Contains(p) && (m.What&tree.Deep != 0 || master[m.Path] != isDir) {
			return true
		}
	}
	return false
}

// heal makes everything work again, after which both sides must become equal.
func (w *world) heal(rt *rapid.T) {
	w.accept()
	w.must(w.SetPaused(false))
	w.slow(0)
	w.change(func(s *fakeSlave) { s.carrying = 0 })
	w.passes()
	for range 5 {
		time.Sleep(time.Hour)
		if h, ok := w.Held(); ok {
			w.Approve(h.Digest)
		}
	}
	master, err := entriesOf(w.dir)
	if err != nil {
		rt.Fatal(err)
	}
	maps.DeleteFunc(master, func(p tree.Path, _ string) bool { return w.excluded(p) })
	if diff := cmp.Diff(master, w.slave.has); diff != "" {
		rt.Fatalf("slave at the end (-want +got):\n%s", diff)
	}
	if !under(w.Replica, w.clean) {
		rt.Fatalf("not clean at the end: %s", w.why())
	}
}

func (w *world) why() string {
	s := w.snapshot("", false)
	return fmt.Sprintf("%+v, held %v, sweeps %+v", s, under(w.Replica, w.gate.paths), under(w.Replica, func() sweepState { return w.sweeps }))
}
