package agent

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

func TestMovesAreBounded(t *testing.T) {
	b := newRig(t, nil)
	b.swept(1)
	for i := range 2 * maxMoves {
		name := string(rune('a' + i))
		under(b.Replica, func() bool { b.leave(tree.Path("a/" + name)); return true })
		b.Moved(tree.Path("a/"+name), tree.Path("b/"+name), tree.Content|tree.Deep)
	}
	if len(b.moves.by) != maxMoves {
		t.Errorf("%d", len(b.moves.by))
	}
}

// rename does it and tells of it as the watcher does.
func (b *rig) rename(from, to string) {
	b.Helper()
	b.must(os.MkdirAll(filepath.Dir(filepath.Join(b.dir, to)), 0o755))
	b.must(os.Rename(filepath.Join(b.dir, from), filepath.Join(b.dir, to)))
	b.Mark(tree.Path(from), tree.Content|tree.Deep, true)
	b.Moved(tree.Path(from), tree.Path(to), tree.Content|tree.Deep)
}

// seeded returns the seeds of all runs.
func (b *rig) seeded() (list []rsync.Seed) {
	for _, sent := range b.batches() {
		list = append(list, sent.Seeds...)
	}
	return list
}

func TestRenameIsASeed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.fill("a", 5)
		b.swept(6)
		b.start()
		b.rename("a", "c")
		time.Sleep(time.Second)
		b.equal()
		if got := b.seeded(); !slices.Equal(got, []rsync.Seed{{From: "a", To: "c"}}) {
			t.Errorf("%+v", got)
		}
		b.rename("c", "d")
		time.Sleep(time.Second)
		b.equal()
		if got := b.seeded(); !slices.Equal(got, []rsync.Seed{{From: "c", To: "d"}}) {
			t.Errorf("%+v", got)
		}
	})
}

// What the slave has under the old name is no use when it may be old or may stay.
func TestRenameIsNoSeed(t *testing.T) {
	for name, tt := range map[string]struct {
		module func(*config.Module)
		before func(*rig)
		after  func(*rig)
	}{
		"a change below waits": {before: func(b *rig) { b.put("a/f000", "new") }},
		"the old name is back": {after: func(b *rig) { b.put("a/x", "new") }},
		"a path below fails": {before: func(b *rig) {
			b.refuse("a/f001", rsync.Partial)
			b.put("a/f001", "new")
			time.Sleep(time.Second)
			b.accept()
		}},
		"it came just now":      {before: func(b *rig) { b.both("p/k", "x"); b.both("z/f", "x"); b.rename("z", "p/a") }},
		"nothing is deleted":    {module: func(m *config.Module) { m.Delete = false }},
		"what goes is kept":     {module: func(m *config.Module) { m.BackupDir = ".trash" }},
		"a rule may look below": {module: func(m *config.Module) { m.Filter = []string{"- *.tmp"} }},
		"all above is unknown":  {before: func(b *rig) { b.both("p/a/f", "x"); b.Mark("p", tree.Deep, false) }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, tt.module)
				from := "a"
				b.fill("a", 5)
				b.swept(6)
				b.start()
				if tt.before != nil {
					tt.before(b)
				}
				if _, err := os.Stat(filepath.Join(b.dir, "p/a")); err == nil {
					from = "p/a"
				}
				b.rename(from, "c")
				if tt.after != nil {
					tt.after(b)
				}
				time.Sleep(10 * time.Minute)
				if got := b.seeded(); len(got) > 0 {
					t.Errorf("%+v", got)
				}
				if b.module.Delete {
					b.equal()
				}
			})
		})
	}
}

// The old name of a subtree that goes beside stays until the slave has the new one.
func TestRemovalWaitsForTheBulkLane(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newLanes(t)
		b.heavy = 3
		b.fill("a", 5)
		b.rename("a", "c")
		time.Sleep(30 * time.Second)
		b.slaveIs(true, "a", "a/f000")
		b.put("small", "1")
		time.Sleep(time.Second)
		b.slaveIs(true, "small")
		b.settledEqual()
		if got := b.seeded(); !slices.Equal(got, []rsync.Seed{{From: "a", To: "c"}}) {
			t.Errorf("%+v", got)
		}
	})
}

// Whatever becomes of the new name, the old one goes in the end.
func TestRemovalWaitsInVain(t *testing.T) {
	for name, do := range map[string]func(*rig){
		"it goes":           func(b *rig) { b.goes("c") },
		"it goes elsewhere": func(b *rig) { b.rename("c", "d") },
		"it is a file":      func(b *rig) { b.goes("c"); b.put("c", "1") },
		"it becomes small":  func(b *rig) { b.rm("c/f000"); b.rm("c/f001"); b.rm("c/f002"); b.rm("c/f003") },
		"its parent goes":   func(b *rig) { b.rename("c", "e/f/c"); b.goes("e") },
		"it is back":        func(b *rig) { b.rename("c", "a") },
		"again and again": func(b *rig) {
			for range 20 {
				b.rename("c", "d")
				time.Sleep(10 * time.Second)
				b.rename("d", "c")
				time.Sleep(10 * time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newLanes(t)
				b.heavy = 3
				b.fill("a", 5)
				b.rename("a", "c")
				time.Sleep(10 * time.Millisecond)
				do(b)
				b.settledEqual()
			})
		})
	}
}
