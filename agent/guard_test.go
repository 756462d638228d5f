package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"syncagent/agent/config"
	"syncagent/agent/journal"
	"syncagent/agent/root"
	"syncagent/agent/tree"
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
	g.module.Sweep.Every, g.module.Sweep.ChecksumEvery = config.Schedule{}, config.Schedule{}
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
	g.must(g.guard.confirm(v))
	v.identity.Mounts = []root.Mount{{Path: "m", FS: root.FS{Type: 1}}}
	if err := g.guard.confirm(v); err == nil {
		t.Error("a mount that went meanwhile was not noticed")
	}
	g.replace()
	if err := g.guard.confirm(v); err == nil {
		t.Error("a root that was replaced meanwhile was not noticed")
	}
}

// What is mounted while paths are looked up hides what stood there.
func TestConfirmSeesAMountThatCame(t *testing.T) {
	g := newGuarded(t, nil)
	over := filepath.Join(g.dir, "media")
	g.must(os.Mkdir(over, 0o755))
	v, err := g.open()
	g.must(err)
	defer v.Close()
	g.must(syscall.Mount("tmpfs", over, "tmpfs", 0, "size=1m"))
	defer func() { g.must(syscall.Unmount(over, 0)) }()
	if err := g.guard.confirm(v); err == nil {
		t.Error("a mount that came meanwhile was not noticed")
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

			// What this run writes is about this root, so a reload may use it.
			b.sweeps.firstDone = true
			b.must(b.save())
			b.sweeps.firstDone = false
			b.restore()
			if !b.sweeps.firstDone {
				t.Error("the journal this run has written itself is not used")
			}
		})
	}
}

// The path of a module was changed to a directory that holds nothing: the disk that
// belongs there is not mounted.
func TestAnotherPathThatIsEmptyIsBlocked(t *testing.T) {
	g := newGuarded(t, nil)
	g.write("f")
	g.passes()
	g.guard.count(10)
	g.dir += ".new"
	g.must(os.Mkdir(g.dir, 0o755))
	g.module.Path = g.dir
	g.restart()
	g.blocks("is empty")
	g.restart()
	g.blocks("is empty")
	g.write("f")
	g.passes()
}

// root_change: accept lets another directory pass, not an empty one.

func TestAcceptedRootMustNotBeEmpty(t *testing.T) {
	g := newGuarded(t, func(m *config.Module) { m.RootChange = "accept" })
	g.write("f")
	g.passes()
	g.guard.count(1)
	g.must(os.Rename(g.dir, g.dir+".old"))
	g.must(os.Mkdir(g.dir, 0o755))
	g.blocks("is empty")
	g.write("f")
	g.passes()
}
