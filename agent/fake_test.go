package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"syncagent/agent/journal"
	"syncagent/agent/root"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// entries is a tree as these tests see it: "dir", or a file's content.
type entries map[tree.Path]string

const isDir = "dir"

// entriesOf reads a real tree.
func entriesOf(dir string) (entries, error) {
	e := entries{}
	return e, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		e[tree.Path(rel)] = isDir
		if d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(name)
		e[tree.Path(rel)] = string(data)
		return err
	})
}

// below returns the paths at and below p, deepest first.
func (e entries) below(p tree.Path) []tree.Path {
	var list []tree.Path
	for q := range e {
		if p.Contains(q) {
			list = append(list, q)
		}
	}
	slices.SortFunc(list, func(a, b tree.Path) int { return tree.Compare(b, a) })
	return list
}

// fakeSlave does to a map what a slave's rsync does to a tree.
type fakeSlave struct {
	mu       sync.Mutex
	has      entries
	down     error // of every call
	refuse   map[tree.Path]rsync.Class
	sent     []rsync.Batch
	asked    int // calls of Victims
	compared int
	notAsked error         // of Victims
	delay    time.Duration // of every call
	during   func()        // called in the middle of Send
	cut      bool          // Send does not know how it ends
	closed   tree.Path     // a directory of the master that cannot be read
	telling  time.Duration // how long Compare takes to tell what it has found
	carrying time.Duration // how long a bulk run takes
	halves   time.Duration // how long Compare takes to see the first entries, and the rest
	first    int64         // how many these are
	flying   []rsync.Batch // runs under way
	collided string        // two of them that overlapped, or what else must never happen

	excludes func(p tree.Path, dir bool) bool // expressions, which its rsync does not know
}

func (f *fakeSlave) wait(ctx context.Context) error {
	f.mu.Lock()
	delay, down := f.delay, f.down
	f.mu.Unlock()
	if delay > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
	}
	if err := ctx.Err(); err != nil {
		return &rsync.Error{Class: rsync.Transient, Code: -1, Err: err}
	}
	return down
}

func (f *fakeSlave) Send(ctx context.Context, dir *os.File, b rsync.Batch) (out rsync.Outcome) {
	begun, walkErr := f.takeOff(dir, b)
	defer f.touchDown(b)
	err := f.wait(ctx)
	if b.Bulk && err == nil {
		err = f.carry(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, b)
	f.forbid(b)
	out.Stats.Runs, out.Cut = 1, f.cut
	if f.during != nil {
		f.during()
	}
	if err != nil {
		errors.As(err, &out.Err)
	}
	master, endErr := entriesOf(dir.Name())
	if err := cmpErr(walkErr, endErr); err != nil {
		out.Err = &rsync.Error{Class: rsync.SourceGone, Err: err}
	}
	f.all(&out, slices.Concat(b.Send, b.Replace, b.Attrs), tree.Content, func(p tree.Path) {
		if content, there := master[p]; there && content != begun[p] {
			f.copy(&out, begun, p, b)
			out.Failed = append(out.Failed, rsync.Failure{Path: p, What: tree.Content, Class: rsync.Transient, Text: "changed while it was sent", Newer: true})
			return
		}
		f.copy(&out, master, p, b)
	})
	f.all(&out, b.Gone, tree.Content, func(p tree.Path) {
		if b.Flat && len(f.has.below(p)) > 1 {
			out.Failed = append(out.Failed, rsync.Failure{Path: p, What: tree.Content | tree.Deep, Class: rsync.Partial})
			return
		}
		f.remove(&out, p, b.MaxDelete)
	})
	if i := slices.IndexFunc(out.Failed, func(f rsync.Failure) bool { return f.Class == rsync.DiskFull }); i >= 0 && out.Err == nil {
		defer func() { out.Err = &rsync.Error{Class: rsync.DiskFull, Text: "no space left on device"} }()
	}
	f.all(&out, b.Deep, tree.Deep, func(p tree.Path) {
		_, old := f.has[p]
		f.deep(&out, begun, p, b)
		if !old && p != tree.Root {
			return // nobody looks at what changed meanwhile
		}
		out.Extras = append(out.Extras, f.extras(master, p)...)
		for _, q := range different(master, f.has) {
			if _, there := master[q]; there && p.Contains(q) && !f.hides(q) && !slices.Contains(b.Leave, q) {
				out.Differ = append(out.Differ, q)
			}
		}
	})
	return out
}

// forbid notes what no run may have with expressions: a tree that rsync looks
// through itself, or a path that is excluded.
func (f *fakeSlave) forbid(b rsync.Batch) {
	if f.excludes == nil {
		return
	}
	if len(b.Deep) > 0 {
		f.collided = fmt.Sprintf("%q sent as trees", b.Deep)
	}
	for _, p := range pathsOf(b) {
		if f.excludes(p, false) && f.excludes(p, true) {
			f.collided = fmt.Sprintf("%q is excluded and was sent", p)
		}
	}
}

// takeOff notes that a run began, with what it then reads, and whether it meets
// another one.
func (f *fakeSlave) takeOff(dir *os.File, b rsync.Batch) (entries, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, other := range f.flying {
		for _, p := range pathsOf(b) {
			for _, q := range pathsOf(other) {
				if p.Contains(q) || q.Contains(p) {
					f.collided = fmt.Sprintf("%q and %q are sent at a time", p, q)
				}
			}
		}
	}
	f.flying = append(f.flying, b)
	return entriesOf(dir.Name())
}

func (f *fakeSlave) touchDown(b rsync.Batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.flying, func(o rsync.Batch) bool { return slices.Equal(pathsOf(o), pathsOf(b)) })
	f.flying = slices.Delete(f.flying, i, i+1)
}

func pathsOf(b rsync.Batch) []tree.Path {
	return slices.Concat(b.Send, b.Replace, b.Attrs, b.Gone, b.Deep)
}

// carry takes the time of a bulk run.
func (f *fakeSlave) carry(ctx context.Context) error {
	f.mu.Lock()
	d := f.carrying
	f.mu.Unlock()
	select {
	case <-ctx.Done():
		return &rsync.Error{Class: rsync.Transient, Code: -1, Err: ctx.Err()}
	case <-time.After(d):
		return nil
	}
}

// all does each path, or fails all of them when the slave is down.
func (f *fakeSlave) all(out *rsync.Outcome, paths []tree.Path, what tree.What, do func(tree.Path)) {
	for _, p := range paths {
		class, refused := f.refuse[p]
		switch {
		case out.Err != nil && !pathsOnly(out.Err.Class):
			out.Failed = append(out.Failed, rsync.Failure{Path: p, What: what, Class: out.Err.Class})
		case refused:
			out.Failed = append(out.Failed, rsync.Failure{Path: p, What: what, Class: class, Text: "not today"})
		default:
			do(p)
		}
	}
}

func (f *fakeSlave) copy(out *rsync.Outcome, master entries, p tree.Path, b rsync.Batch) {
	content, ok := master[p]
	if !ok {
		out.Failed = append(out.Failed, rsync.Failure{Path: p, What: tree.Content, Class: rsync.Transient})
		return
	}
	if f.has[p] == isDir && content != isDir && len(f.has.below(p)) > 1 {
		if !slices.Contains(b.Replace, p) {
			out.Failed = append(out.Failed, rsync.Failure{Path: p, What: tree.Content | tree.Deep, Class: rsync.Partial})
			return
		}
		if !f.remove(out, p, b.MaxDelete) {
			return
		}
	}
	for q := p.Parent(); q != tree.Root; q = q.Parent() {
		f.has[q] = isDir
	}
	if _, old := f.has[p]; !old {
		out.Stats.Created++
	}
	f.has[p] = content
	out.Stats.Files++
}

// remove deletes p with all that is below it, as far as the limit allows.
func (f *fakeSlave) remove(out *rsync.Outcome, p tree.Path, limit int) bool {
	for _, q := range f.has.below(p) {
		if limit > 0 && out.Stats.Deletes >= limit {
			out.Failed = append(out.Failed, rsync.Failure{Path: p, What: tree.Content, Class: rsync.Partial, Text: "Deletions stopped"})
			return false
		}
		delete(f.has, q)
		out.Stats.Deletes++
	}
	return true
}

func (f *fakeSlave) deep(out *rsync.Outcome, master entries, p tree.Path, b rsync.Batch) {
	for q := range master {
		if slices.Contains(b.Leave, q) {
			continue
		}
		if f.hides(q) && p.Contains(q) {
			out.Failed = append(out.Failed, rsync.Failure{Path: f.closed, What: tree.Content | tree.Deep, Class: rsync.Partial})
		}
		if !p.Contains(q) || f.hides(q) {
			continue
		}
		if class, refused := f.refuse[q]; refused {
			out.Failed = append(out.Failed, rsync.Failure{Path: q, What: tree.Content, Class: class, Text: "not today"})
			continue
		}
		f.copy(out, master, q, rsync.Batch{})
	}
}

// hides reports whether p lies in the directory that cannot be read.
func (f *fakeSlave) hides(p tree.Path) bool {
	return f.closed != "" && p != f.closed && f.closed.Contains(p)
}

func (f *fakeSlave) extras(master entries, p tree.Path) []rsync.Extra {
	var list []rsync.Extra
	for _, q := range f.has.below(p) {
		if _, there := master[q]; !there {
			list = append(list, rsync.Extra{Path: q, Dir: f.has[q] == isDir})
		}
	}
	return list
}

func (f *fakeSlave) Victims(ctx context.Context, dir *os.File, gone []tree.Path) ([]rsync.Extra, error) {
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.notAsked != nil {
		return nil, f.notAsked
	}
	var list []rsync.Extra
	for _, p := range gone {
		if _, err := os.Lstat(filepath.Join(dir.Name(), string(p))); err == nil {
			continue
		}
		for _, q := range f.has.below(p) {
			list = append(list, rsync.Extra{Path: q, Dir: f.has[q] == isDir})
		}
	}
	return list, nil
}

func (f *fakeSlave) Compare(ctx context.Context, dir *os.File, deep []tree.Path, _ bool, seen *atomic.Int64) (rsync.Diff, error) {
	f.mu.Lock()
	halves := f.halves
	f.mu.Unlock()
	if seen != nil && halves > 0 {
		time.Sleep(halves)
		seen.Add(f.first)
		time.Sleep(halves)
	}
	if err := f.wait(ctx); err != nil {
		return rsync.Diff{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func(d time.Duration) {
		f.mu.Unlock()
		time.Sleep(d)
		f.mu.Lock()
	}(f.telling)
	f.compared++
	master, err := entriesOf(dir.Name())
	if err != nil {
		return rsync.Diff{}, &rsync.Error{Class: rsync.SourceGone, Err: err}
	}
	d := rsync.Diff{Entries: len(master), Extras: f.extras(master, tree.Root)}
	if f.closed != "" {
		d.Partial = &rsync.Error{Class: rsync.Partial}
		d.Failed = []rsync.Failure{{Path: f.closed, What: tree.Content, Class: rsync.Partial, Text: "opendir failed"}}
	}
	for _, p := range slices.SortedFunc(maps.Keys(master), tree.Compare) {
		old, there := f.has[p]
		if there && old == master[p] || f.hides(p) {
			continue
		}
		c := rsync.Change{Path: p, Dir: master[p] == isDir, Code: ">fcst......"}
		if !there {
			c.Code = ">f+++++++++"
		}
		if f.excludes == nil || !f.excludes(p, c.Dir) {
			d.Differ = append(d.Differ, c)
		}
	}
	if f.excludes != nil {
		d.Extras = rsync.Spare(d.Extras, f.excludes)
	}
	return d, nil
}

// fakeStore keeps records in memory.
type fakeStore struct {
	mu      sync.Mutex
	targets map[string]journal.Target
	modules map[string]journal.Module
	err     error // of every Save
	loadErr error
	torn    error // of LoadModule
	paused  map[string]bool
	lost    error // of Paused
	saves   int   // of targets
}

func newFakeStore() *fakeStore {
	return &fakeStore{targets: map[string]journal.Target{}, modules: map[string]journal.Module{}, paused: map[string]bool{}}
}

func (f *fakeStore) Paused(module, target string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost == nil && f.paused[module+"@"+target], f.lost
}

func (f *fakeStore) SetPaused(module, target string, paused bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.paused[module+"@"+target] = paused
	}
	return f.err
}

func (f *fakeStore) LoadTarget(module, target string) (journal.Target, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rec, ok := f.targets[module+"@"+target]
	if f.loadErr != nil || !ok {
		return rec, cmpErr(f.loadErr, fs.ErrNotExist)
	}
	return rec, nil
}

func cmpErr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

func (f *fakeStore) SaveTarget(module, target string, rec journal.Target) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.saves++
	if f.err == nil {
		f.targets[module+"@"+target] = rec
	}
	return f.err
}

func (f *fakeStore) LoadModule(module string) (journal.Module, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rec, ok := f.modules[module]
	if f.torn != nil {
		return rec, f.torn
	}
	if f.loadErr != nil || !ok {
		return rec, cmpErr(f.loadErr, fs.ErrNotExist)
	}
	return rec, nil
}

func (f *fakeStore) SaveModule(module string, rec journal.Module) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.modules[module] = rec
	}
	return f.err
}

// fakeRoot opens a real directory without a guard.
type fakeRoot struct {
	dir    string
	shared looks
	mu     sync.Mutex
	err    error
	lost   []root.Difference
}

func (f *fakeRoot) open() (*view, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	r, err := root.Open(f.dir)
	if err != nil {
		return nil, err
	}
	return &view{Root: r, lost: slices.Clone(f.lost)}, nil
}

func (f *fakeRoot) look(b tree.Batch, taken time.Time) (*look, error) {
	return f.shared.share(b, taken, f.open, func(*view) error { return nil })
}

func (f *fakeRoot) trusted(string) bool { return true }

func (f *fakeRoot) wrote(string) {}

func (f *fakeRoot) set(err error, lost ...root.Difference) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.lost = err, lost
}
