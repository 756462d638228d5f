package agent

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/filter"
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
	held     map[tree.Path]int // topmost held path -> entries that would go
	reason   string
	approved map[tree.Path]time.Time // until when
}

type deletion struct {
	at time.Time
	n  int
}

func newGate(g config.Guard) *gate {
	return &gate{guard: g, held: map[tree.Path]int{}, approved: map[tree.Path]time.Time{}}
}

// fits reports whether n more deletes are below the brake in a module that
// holds entries now.
func (g *gate) fits(n int, entries int64, now time.Time) bool {
	if g.guard.Off {
		return true
	}
	before := g.inWindow(now)
	n += before
	if g.guard.Files > 0 && n > g.guard.Files {
		return false
	}
	return n <= g.guard.Min || int64(n)*100 <= int64(g.guard.Percent)*(entries+int64(before))
}

func (g *gate) inWindow(now time.Time) int {
	g.recent = slices.DeleteFunc(g.recent, func(d deletion) bool { return now.Sub(d.at) > brakeWindow })
	sum := 0
	for _, d := range g.recent {
		sum += d.n
	}
	return sum
}

// spent notes that n entries were let through.
func (g *gate) spent(n int, now time.Time) {
	if n > 0 && !g.guard.Off {
		g.recent = append(g.recent, deletion{now, n})
	}
}

// backstop is the most that one run may delete whatever it finds, 0 for no
// limit: the slave may hold more below a path than the master ever had.
func (g *gate) backstop(counted int) int {
	if g.guard.Off {
		return 0
	}
	return max(counted, g.guard.Min, g.guard.Files, 1)
}

// hold keeps paths back, each with the number of entries that would go with
// it, those below it that were held before included.
func (g *gate) hold(paths map[tree.Path]int, reason string) {
	maps.DeleteFunc(g.held, func(p tree.Path, _ int) bool { return covered(paths, p) })
	maps.Copy(g.held, paths)
	g.reason = reason
}

// holds reports whether p or a directory above it is held.
func (g *gate) holds(p tree.Path) bool { return covered(g.held, p) }

// expire forgets approvals that are too old to be carried out.
func (g *gate) expire(now time.Time) {
	maps.DeleteFunc(g.approved, func(_ tree.Path, until time.Time) bool { return now.After(until) })
}

// allows reports whether p or a directory above it was approved.
func (g *gate) allows(p tree.Path) bool { return covered(g.approved, p) }

// release forgets what was held at p and below: it stands on the master again.
func (g *gate) release(p tree.Path) {
	delete(g.held, p)
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

// digest names exactly the held set.
func (g *gate) digest(module, target string) string {
	parts := []string{"held", module, target}
	for _, p := range g.paths() {
		parts = append(parts, string(p), fmt.Sprint(g.held[p]))
	}
	return digest(parts...)
}

// approve turns everything held into approved paths and returns them.
func (g *gate) approve(now time.Time) []tree.Path {
	list := g.paths()
	for _, p := range list {
		g.approved[p] = now.Add(approvalLasts)
	}
	clear(g.held)
	g.reason = ""
	return list
}

// confirmed forgets approvals that were carried out.
func (g *gate) confirmed(paths []tree.Path) {
	for _, p := range paths {
		delete(g.approved, p)
	}
}

// covered reports whether m holds p or a directory above it.
func covered[V any](m map[tree.Path]V, p tree.Path) bool {
	if len(m) == 0 {
		return false
	}
	for {
		if _, ok := m[p]; ok {
			return true
		}
		if p == tree.Root {
			return false
		}
		p = p.Parent()
	}
}

// spare drops from the victims of a delete what the rules exclude, and the
// directories that must stay because of it. Victims come in the slave's order;
// the result is in order.
func spare(victims []rsync.Extra, rules *filter.Rules) []rsync.Extra {
	kept := make([]rsync.Extra, 0, len(victims))
	needed := map[tree.Path]bool{}
	for _, v := range victims {
		if !rules.Excludes(v.Path, v.Dir) {
			kept = append(kept, v)
			continue
		}
		for p := v.Path; p != tree.Root; p = p.Parent() {
			needed[p] = true
		}
	}
	kept = slices.DeleteFunc(kept, func(v rsync.Extra) bool { return needed[v.Path] })
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
