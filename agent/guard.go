package agent

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"syncagent/agent/journal"
	"syncagent/agent/root"
	"syncagent/agent/tree"
)

// blockedError says why nothing of a module may move. Its text is shown as it
// stands.
type blockedError struct {
	// emptied: the directory is the known one, but empty. The events that tell
	// why may still be on their way.
	emptied bool
	why     string
}

func (e *blockedError) Error() string { return e.why }

// guard is the root guard of one module: it lets a root through only when it
// is the one the journal knows.
//
// An unmounted disk, a directory put in its place or a link turned elsewhere
// all look like "every file is gone"; the identity tells them apart.
type guard struct {
	module string
	path   string
	accept bool // root_change: accept
	filter []string
	store  moduleStore
	log    *slog.Logger

	machine string // this one, "" if it has no name

	mu      sync.Mutex
	loaded  bool // the journal was read
	trusted bool // and it knew the module
	renewed bool // but with another path or other rules
	moved   bool // it knew another path, of a tree that was not empty
	known   *root.Identity
	entries int64
	owner   string         // the machine whose state it is, "" if none is known
	offered *root.Identity // what an approval would accept, nil for nothing
	leftOld uint64         // left, when the root was last seen to hold something

	left atomic.Uint64 // entries of the root itself that were seen going
}

// evidenceWait is how long an emptied root waits for the events that tell why.
const evidenceWait = 200 * time.Millisecond

// moduleStore keeps what is known of a module over restarts.
type moduleStore interface {
	LoadModule(module string) (journal.Module, error)
	SaveModule(module string, rec journal.Module) error
}

// view is a root that passed the guard, open for one look.
type view struct {
	*root.Root
	identity root.Identity
	lost     []root.Difference // mount points below the root that are gone or others
}

// nested reports whether other file systems are mounted below the root.
func (v *view) nested() bool { return len(v.identity.Mounts) > 0 }

// load reads what the journal knows, once. A torn journal knows nothing: the
// root as it is now becomes the known one, and every delete of the first sweep
// is held.
func (g *guard) load() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.loaded {
		return nil
	}
	err := g.read()
	g.loaded = err == nil
	return err
}

func (g *guard) read() error {
	rec, err := g.store.LoadModule(g.module)
	var torn *journal.CorruptError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.As(err, &torn):
		g.log.Warn("journal of the module is damaged, starting from nothing", "file", torn.Path, "kept_as", torn.SetAside)
		return nil
	case err != nil:
		return fmt.Errorf("load journal of module %s: %w", g.module, err)
	}
	g.owner = rec.Machine
	g.trusted, g.renewed = true, rec.Path != g.path || !slices.Equal(rec.Filter, g.filter)
	if rec.Path != g.path {
		g.moved = rec.Entries > 0
		return nil // another tree now stands under this name
	}
	var id root.Identity
	if err := json.Unmarshal(rec.Identity, &id); err != nil {
		return fmt.Errorf("read root identity of module %s: %w", g.module, err)
	}
	g.known, g.entries = &id, rec.Entries
	return nil
}

// size is the number of the module's entries as the journal knows it, 0 when
// it does not.
func (g *guard) size() int64 {
	if g.load() != nil {
		return 0 // said when the root is opened
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.entries
}

// knows reports whether the journal knew the module: if not, nobody knows either
// whether its targets' journals are about this tree. renewed tells that what is
// to be replicated changed since.
func (g *guard) knows() (trusted, renewed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.trusted, g.renewed
}

// open opens the root and checks it. The error is a *blockedError when the
// module has to wait.
func (g *guard) open() (*view, error) {
	if err := g.load(); err != nil { // before anything could be adopted
		return nil, &blockedError{why: fmt.Sprintf("%v: repair the state directory", err)}
	}
	r, err := root.Open(g.path)
	if err != nil {
		return nil, &blockedError{why: fmt.Sprintf("source directory %s cannot be opened (%v): mount or create it", g.path, cause(err))}
	}
	v, err := g.check(r)
	if err != nil {
		r.Close()
		return nil, err
	}
	return v, nil
}

func (g *guard) check(r *root.Root) (*view, error) {
	now, err := r.Identity()
	if err != nil {
		return nil, &blockedError{why: fmt.Sprintf("source directory %s cannot be identified (%v): look at its file system", g.path, cause(err))}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if why := g.foreign(); why != "" {
		return nil, g.offer(now, why)
	}
	if g.known == nil {
		return g.take(r, now)
	}
	if err := g.own(); err != nil {
		return nil, err
	}
	v := &view{Root: r, identity: now}
	for _, d := range g.known.Compare(now) {
		if d.Path == tree.Root {
			return g.changed(r, now, d)
		}
		v.lost = append(v.lost, d)
	}
	added := g.known.Added(now)
	v.lost = append(v.lost, covering(r, added)...)
	if len(v.lost) > 0 && g.accept {
		return g.take(r, now)
	}
	if len(v.lost) > 0 {
		g.offered = &now
		return v, g.checkEmpty(r, now)
	}
	g.offered = nil
	if len(added) > 0 {
		return g.adopt(r, now)
	}
	return v, g.checkEmpty(r, now)
}

// covering are the new mount points that hold nothing: what stood below them is not
// gone, only hidden. Once something is in them they are what the module is now.
func covering(r *root.Root, added []root.Mount) []root.Difference {
	var list []root.Difference
	for _, m := range added {
		if bare, err := r.Bare(m.Path); err == nil && bare {
			list = append(list, root.Difference{Path: m.Path, Problem: "an empty file system was mounted over it"})
		}
	}
	return list
}

// changed answers a root that is not the known one.
func (g *guard) changed(r *root.Root, now root.Identity, d root.Difference) (*view, error) {
	if g.accept {
		g.log.Warn("source directory is another one, accepted as configured", "path", g.path, "problem", d.Problem)
		return g.take(r, now)
	}
	return nil, g.offer(now, fmt.Sprintf("source directory %s is not the one it was (%s): mount the right one, or accept it with \"agent approve --module %s\"", g.path, d.Problem, g.module))
}

// checkEmpty refuses an empty root whose last entries nobody saw going. An
// entry seen going since the root last held something is evidence enough here:
// how many go at once is the brake's question.
func (g *guard) checkEmpty(r *root.Root, now root.Identity) error {
	left := g.left.Load()
	empty, err := r.Empty()
	if err != nil {
		return g.unreadable(err)
	}
	if !empty {
		g.leftOld = left
		return g.filled()
	}
	if g.entries > 0 && !g.seenGoing() {
		err := g.offer(now, fmt.Sprintf("source directory %s is empty, and nobody saw its entries going: restore or mount it, or accept it with \"agent approve --module %s\"", g.path, g.module))
		err.emptied = true
		return err
	}
	if g.entries == 0 {
		return nil
	}
	// Known to be empty from now on, also after a restart.
	if err := g.save(*g.known, 0); err != nil {
		return g.unwritable(err)
	}
	g.entries = 0
	return nil
}

// filled notes that the root holds something: from now on it must not be empty
// unseen, also before a sweep has counted what it holds.
func (g *guard) filled() error {
	if g.entries > 0 {
		return nil
	}
	if err := g.save(*g.known, 1); err != nil {
		return g.unwritable(err)
	}
	g.entries = 1
	return nil
}

// seenGoing reports whether an entry of the root was seen going since the root
// last held something. The directory can be empty before its events are here,
// so it waits for them a little.
func (g *guard) seenGoing() bool {
	for end := time.Now().Add(evidenceWait); ; time.Sleep(evidenceWait / 20) {
		if g.left.Load() != g.leftOld {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

func (g *guard) unreadable(err error) *blockedError {
	return &blockedError{why: fmt.Sprintf("source directory %s cannot be read (%v): check its permissions", g.path, cause(err))}
}

func (g *guard) unwritable(err error) *blockedError {
	return &blockedError{why: fmt.Sprintf("journal of module %s cannot be written (%v): free or repair the state directory", g.module, cause(err))}
}

// offer blocks and notes what an approval would accept.
func (g *guard) offer(now root.Identity, why string) *blockedError {
	g.offered = &now
	return &blockedError{why: why}
}

// take adopts a root of which nobody can tell whether it is the one that it was. It
// must not be empty where that was not: a disk that is not mounted looks like this.
func (g *guard) take(r *root.Root, now root.Identity) (*view, error) {
	empty, err := r.Empty()
	switch {
	case err != nil:
		return nil, g.unreadable(err)
	case empty && (g.moved || g.entries > 0):
		return nil, g.offer(now, fmt.Sprintf("source directory %s is another one than before and is empty: mount what belongs there, or accept it with \"agent approve --module %s\"", g.path, g.module))
	}
	return g.adopt(r, now)
}

// adopt makes now the known identity, on disk before anything relies on it.
func (g *guard) adopt(r *root.Root, now root.Identity) (*view, error) {
	if g.owner == "" {
		g.owner = g.machine
	}
	if err := g.save(now, g.entries); err != nil {
		return nil, g.unwritable(err)
	}
	g.known, g.moved = &now, false
	return &view{Root: r, identity: now}, nil
}

// confirm fails unless the root and every mount point below it are still those
// the view was opened with: what went missing between was not deleted.
func (g *guard) confirm(v *view) error {
	now, err := v.Identity()
	if err != nil {
		return g.unreadable(err)
	}
	changed := v.identity.Compare(now)
	for _, m := range v.identity.Added(now) { // it may hide what was there when the look began
		changed = append(changed, root.Difference{Path: m.Path, Problem: "a file system was mounted over it"})
	}
	if len(changed) == 0 {
		return nil
	}
	d := changed[0]
	return &blockedError{why: fmt.Sprintf("%s changed while it was looked at (%s): nothing was deleted, it is looked at again", filepath.Join(g.path, string(d.Path)), d.Problem)}
}

func (g *guard) save(id root.Identity, entries int64) error {
	raw, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("encode root identity: %w", err)
	}
	return g.store.SaveModule(g.module, journal.Module{Identity: raw, Entries: entries, Path: g.path, Filter: g.filter, Machine: g.owner})
}

// approve accepts the offered identity if it still is what digest names.
func (g *guard) approve(digest string) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.offered == nil || digest != identityDigest(g.module, *g.offered) {
		return false, nil
	}
	before := g.owner
	g.owner = cmp.Or(g.machine, g.owner)
	if err := g.save(*g.offered, 0); err != nil {
		g.owner = before
		return false, fmt.Errorf("accept root of module %s: %w", g.module, err)
	}
	g.known, g.offered, g.entries, g.moved = g.offered, nil, 0, false
	return true, nil
}

// pending names what an approval would accept, "" for nothing.
func (g *guard) pending() (digest string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.offered == nil {
		return ""
	}
	return identityDigest(g.module, *g.offered)
}

// gone notes that an entry was seen going, and reports whether it was one of
// the root itself.
func (g *guard) gone(p tree.Path) bool {
	if p == tree.Root || p.Parent() != tree.Root {
		return false
	}
	g.left.Add(1)
	return true
}

// count keeps the number of the module's entries, as the last sweep saw it.
func (g *guard) count(entries int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known == nil || entries == g.entries && !g.renewed {
		return
	}
	if err := g.save(*g.known, entries); err != nil {
		g.log.Warn("journal of the module cannot be written", "error", err)
		return
	}
	g.entries = entries
}

// cause returns the innermost error, whose text is short enough for a line.
func cause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
