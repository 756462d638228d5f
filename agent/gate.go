package agent

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/filter"
	"syncagent/agent/root"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

const (
	// brakeWindow is how long a delete counts towards the brake: a removal
	// that reaches us in many small batches is still one removal.
	brakeWindow = 10 * time.Second
	// approvalLasts bounds how long an approval that could not be carried out
	// (the slave is down) stays good.
	approvalLasts = time.Hour
)

// gate is the delete gate of one replica: the brake, and what it holds. It
// decides with numbers only; looking at the master and at the slave is the
// replica's.
type gate struct {
	guard    config.Guard
	recent   []deletion
	held     map[tree.Path]int  // topmost held path -> entries that would go
	own      map[tree.Path]bool // of them, what may be the slave's own: no number lets it go
	since    time.Time          // how long the oldest of them is waited for
	reason   string
	approved map[tree.Path]approval
	exempt   int // approved deletes of the batch under way
}

type deletion struct {
	at   time.Time
	n    int
	held bool // and not let through
}

// approval lets no more go than was shown.
type approval struct {
	until time.Time
	n     int // entries
}

func newGate(g config.Guard) *gate {
	return &gate{guard: g, held: map[tree.Path]int{}, own: map[tree.Path]bool{}, approved: map[tree.Path]approval{}}
}

// fits reports whether n more deletes are below the brake in a module that
// holds entries now.
func (g *gate) fits(n int, entries int64, now time.Time) bool {
	if g.guard.Off {
		return true
	}
	return n <= g.room(entries, now)
}

// room is how many deletes still are below the brake.
func (g *gate) room(entries int64, now time.Time) int {
	gone, held := g.inWindow(now)
	most := max(g.guard.Min, int(int64(g.guard.Percent)*(entries+int64(gone))/100))
	if g.guard.Files > 0 {
		most = min(most, g.guard.Files)
	}
	return most - gone - held
}

// inWindow counts what was let through and what was held lately: what follows
// a removal that is held belongs to it.
func (g *gate) inWindow(now time.Time) (gone, held int) {
	g.recent = slices.DeleteFunc(g.recent, func(d deletion) bool { return now.Sub(d.at) > brakeWindow })
	for _, d := range g.recent {
		if d.held {
			held += d.n
		} else {
			gone += d.n
		}
	}
	return gone, held
}

// spent notes that n entries were deleted; approved ones do not count.
func (g *gate) spent(n int, now time.Time) {
	g.note(n-g.exempt, false, now)
	g.exempt = 0
}

func (g *gate) note(n int, held bool, now time.Time) {
	if n > 0 && !g.guard.Off {
		g.recent = append(g.recent, deletion{now, n, held})
	}
}

// backstop is the most that one run may delete whatever it finds, 0 for no
// limit: the slave may hold more below a path than the master ever had. A run
// that meets it fails, and its deletes are counted on the slave next time. It is
// what was counted, rounded up below the brake, so that most runs are alike and
// find a connection waiting.
func (g *gate) backstop(counted int, entries int64, now time.Time) int {
	if g.guard.Off {
		return 0
	}
	round := 16
	for round < counted {
		round *= 2
	}
	return max(counted, min(round, g.room(entries, now)), 1)
}

// brake holds n entries at the paths, dirty since some time, for there are too many.
func (g *gate) brake(paths map[tree.Path]int, n int, entries int64, since, now time.Time) {
	gone, held := g.inWindow(now)
	g.hold(paths, brakeReason(g.guard, n+gone+held, entries+int64(gone)), earliest(since, now))
	g.note(n, true, now)
}

// hold keeps paths back that have been dirty since some time, each with the number of
// entries that would go with it, those below it that were held before included.
func (g *gate) hold(paths map[tree.Path]int, reason string, since time.Time) {
	if len(g.held) == 0 {
		g.since = time.Time{}
	}
	g.since = earliest(g.since, since)
	maps.DeleteFunc(g.own, func(p tree.Path, _ bool) bool { _, held := g.held[p]; return !held })
	owns := g.owner()
	for p := range paths {
		if owns(p) {
			g.own[p] = true
		}
	}
	maps.DeleteFunc(g.held, func(p tree.Path, _ int) bool { return covered(paths, p) })
	maps.Copy(g.held, paths)
	g.reason = reason
}

// holdOwn is hold for what may be the slave's own.
func (g *gate) holdOwn(paths map[tree.Path]int, reason string, since time.Time) {
	g.hold(paths, reason, since)
	for p := range paths {
		g.own[p] = true
	}
}

// owner returns what reports whether anything at, above or below a path is held as the
// slave's own.
func (g *gate) owner() func(tree.Path) bool {
	at, over := map[tree.Path]bool{}, map[tree.Path]bool{}
	for p := range g.own {
		if _, held := g.held[p]; !held {
			continue
		}
		at[p] = true
		for q := p; q != tree.Root && !over[q]; q = q.Parent() {
			over[q] = true
		}
	}
	return func(p tree.Path) bool { return over[p] || covered(at, p) }
}

// holds reports whether p or a directory above it is held.
func (g *gate) holds(p tree.Path) bool { return covered(g.held, p) }

// holdsBelow reports whether anything held stands at or below one of paths.
func (g *gate) holdsBelow(paths map[tree.Path]bool) bool {
	for p := range g.held {
		if covered(paths, p) {
			return true
		}
	}
	return false
}

// recount brings up to date how many entries would go with what is held. What
// was restored from the journal has no count of its own.
func (g *gate) recount(extras []rsync.Extra) {
	counts := map[tree.Path]int{}
	for _, e := range extras {
		if p, ok := above(g.held, e.Path); ok {
			counts[p]++
		}
	}
	for p, n := range counts {
		g.held[p] = max(g.held[p], n)
	}
}

// permit takes from the victims, topmost paths with their counts, those that
// were approved, and returns how many entries these are. A path below which
// there is more by now than was shown is not among them.
func (g *gate) permit(tops []tree.Path, counts map[tree.Path]int, now time.Time) (allowed []tree.Path, n int) {
	maps.DeleteFunc(g.approved, func(_ tree.Path, a approval) bool { return now.After(a.until) })
	found := map[tree.Path]int{}
	for _, p := range tops {
		if q, ok := above(g.approved, p); ok {
			found[q] += counts[p]
		}
	}
	for _, p := range tops {
		if q, ok := above(g.approved, p); ok && found[q] <= g.approved[q].n {
			allowed = append(allowed, p)
			n += counts[p]
			delete(counts, p)
		}
	}
	g.exempt += n
	return allowed, n
}

// release forgets what was held at or above p, which stands on the master
// again, at it only if it is a directory, and below it when all of that is looked at too. It returns the
// directories below which the slave may have more that is not: they are not
// looked at with p.
func (g *gate) release(p tree.Path, dir, deep bool) (unknown []tree.Path) {
	if deep {
		maps.DeleteFunc(g.held, func(q tree.Path, _ int) bool { return p.Contains(q) })
		maps.DeleteFunc(g.approved, func(q tree.Path, _ approval) bool { return p.Contains(q) })
	}
	for q := p; len(g.held)+len(g.approved) > 0; q = q.Parent() {
		if q == p && !dir { // it may have to replace the directory that is held, or was approved to go
			continue
		}
		if _, held := g.held[q]; held {
			delete(g.held, q)
			unknown = append(unknown, q)
		}
		delete(g.approved, q)
		if q == tree.Root {
			break
		}
	}
	return unknown
}

// count is the number of entries held.
func (g *gate) count() int {
	sum := 0
	for _, n := range g.held {
		sum += n
	}
	return sum
}

// paths lists the topmost held paths in order.
func (g *gate) paths() []tree.Path {
	list := make([]tree.Path, 0, len(g.held))
	for p := range g.held {
		list = append(list, p)
	}
	slices.SortFunc(list, tree.Compare)
	return list
}

// digest names exactly the held set of the slave at a place.
func (g *gate) digest(module, target, place string) string {
	parts := []string{"held", module, target, place}
	for _, p := range g.paths() {
		parts = append(parts, string(p), fmt.Sprint(g.held[p]))
	}
	return digest(parts...)
}

// approve turns everything held into approved paths and returns them.
func (g *gate) approve(now time.Time) []tree.Path {
	list := g.paths()
	for _, p := range list {
		g.approved[p] = approval{now.Add(approvalLasts), g.held[p]}
	}
	g.recent = slices.DeleteFunc(g.recent, func(d deletion) bool { return d.held })
	clear(g.held)
	g.reason = ""
	return list
}

// refresh forgets holds on what a complete sweep no longer found on the slave.
func (g *gate) refresh(extras []rsync.Extra) {
	there := map[tree.Path]bool{}
	for _, e := range extras {
		for p := e.Path; p != tree.Root && !there[p]; p = p.Parent() {
			there[p] = true
		}
	}
	maps.DeleteFunc(g.held, func(p tree.Path, _ int) bool { return !there[p] })
}

// confirmed forgets approvals that were carried out, and holds on what is gone
// with them. What was sent is there, and files in a directory's place.
func (g *gate) confirmed(gone, sent, files []tree.Path, failed map[tree.Path]bool) {
	done := map[tree.Path]bool{}
	for _, p := range slices.Concat(gone, files) {
		done[p] = !failed[p]
	}
	maps.DeleteFunc(done, func(_ tree.Path, ok bool) bool { return !ok })
	maps.DeleteFunc(g.held, func(p tree.Path, _ int) bool { return covered(done, p) })
	for _, p := range slices.Concat(gone, sent) {
		if !failed[p] {
			delete(g.approved, p)
		}
	}
}

// filesAt are those of sent that are no directories, if anything is held that they may
// have made way for.
func (g *gate) filesAt(entries []root.Entry, sent []tree.Path) (files []tree.Path) {
	if len(g.held) == 0 {
		return nil
	}
	for _, e := range entries {
		if e.State == root.Present && !e.Stat.IsDir() && slices.Contains(sent, e.Path) {
			files = append(files, e.Path)
		}
	}
	return files
}

// covered reports whether m holds p or a directory above it.
func covered[V any](m map[tree.Path]V, p tree.Path) bool {
	_, ok := above(m, p)
	return ok
}

// above returns which of p and the directories above it m holds.
func above[V any](m map[tree.Path]V, p tree.Path) (tree.Path, bool) {
	if len(m) == 0 {
		return p, false
	}
	for {
		if _, ok := m[p]; ok || p == tree.Root {
			return p, ok
		}
		p = p.Parent()
	}
}

// spare drops from the victims of a delete what the rules exclude, and the
// directories that must stay because of it. Victims come in the slave's order;
// the result is in order.
func spare(victims []rsync.Extra, rules *filter.Rules) []rsync.Extra {
	kept := rsync.Spare(victims, rules.Excludes)
	slices.SortFunc(kept, func(a, b rsync.Extra) int { return tree.Compare(a.Path, b.Path) })
	return kept
}

// topmost reduces extras in order to those that have none above them, each with
// the number of entries at and below it.
func topmost(extras []rsync.Extra) ([]tree.Path, map[tree.Path]int) {
	var tops []tree.Path
	counts := map[tree.Path]int{}
	for _, e := range extras {
		if n := len(tops); n == 0 || !tops[n-1].Contains(e.Path) {
			tops = append(tops, e.Path)
		}
		counts[tops[len(tops)-1]]++
	}
	return tops, counts
}
