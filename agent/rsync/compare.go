package rsync

import (
	"context"
	"os"
	"slices"
	"sync/atomic"

	"syncagent/agent/tree"
)

// compareMode is the run that lists all that differs and changes nothing.
func compareMode(checksum bool) mode {
	return mode{dry: true, deep: true, extras: true, checksum: checksum}
}

// add sorts one item in. The root's own attributes are the slave's.
func (d *Diff) add(it item) {
	switch {
	case it.path == tree.Root:
	case it.deleting():
		d.Extras = append(d.Extras, Extra{Path: it.path, Dir: it.dir})
	default:
		d.Entries++
		if !it.equal() {
			d.Differ = append(d.Differ, Change{Path: it.path, Dir: it.dir, Code: it.code})
		}
	}
}

// Compare lists what differs between dir and the slave below the paths in deep
// and changes nothing. By default size and time to the nanosecond decide; with
// checksum every byte is read on both sides. Entries that a filter excludes are
// neither compared nor listed, and a directory that the slave keeps only for
// such entries counts as equal. Parents of the paths in deep are compared too.
//
// Seen, if it is not nil, counts the entries as they are compared.
//
// The error is an *Error; what could not be looked at is none, but stands in
// the Diff.
func (c *Client) Compare(ctx context.Context, dir *os.File, deep []tree.Path, checksum bool, seen *atomic.Int64) (Diff, error) {
	var d Diff
	excludes := c.cfg.Options.Excludes
	rep := c.exec(ctx, dir, compareMode(checksum), newList(topmost(deep)), func(it item) {
		if excludes == nil || it.deleting() || !excludes(it.path, it.dir) {
			d.add(it)
			if seen != nil {
				seen.Store(int64(d.Entries))
			}
		}
	})
	if rep.broken() {
		return Diff{}, rep.err
	}
	d.crowded(dir, rep)
	if excludes != nil {
		d.Extras = Spare(d.Extras, excludes)
	}
	if rep.trouble() == nil {
		return d, nil
	}
	d.Partial = rep.err
	for _, e := range rep.named {
		if !e.Soft && e.Path != tree.Root && (excludes == nil || !excludes(e.Path, true)) {
			d.Failed = append(d.Failed, Failure{Path: e.Path, What: e.What, Class: e.Class, Text: e.Text})
		}
	}
	return d, nil
}

// crowded adds files in whose place the slave keeps a directory, with nothing in
// it but what is excluded: all that rsync says of them is that it did not delete
// that directory.
func (d *Diff) crowded(dir *os.File, rep *report) {
	for _, e := range rep.named {
		if !e.Soft || slices.ContainsFunc(d.Differ, func(c Change) bool { return c.Path == e.Path }) {
			continue
		}
		if s, err := lstatAt(int(dir.Fd()), e.Path); err == nil && !s.isDir() {
			d.Entries++
			d.Differ = append(d.Differ, Change{Path: e.Path, Code: ">f+++++++++"})
		}
	}
}

// Spare drops what is excluded from extras, and the directories that must stay
// because of it.
func Spare(extras []Extra, excludes func(p tree.Path, dir bool) bool) []Extra {
	kept := make([]Extra, 0, len(extras))
	needed := map[tree.Path]bool{}
	for _, v := range extras {
		if !excludes(v.Path, v.Dir) {
			kept = append(kept, v)
			continue
		}
		for p := v.Path; p != tree.Root; p = p.Parent() {
			needed[p] = true
		}
	}
	return slices.DeleteFunc(kept, func(v Extra) bool { return needed[v.Path] })
}

// Victims lists everything that Send would delete on the slave for the paths
// in gone, each entry of a directory included, and changes nothing. Filters do
// not apply: they do not hold in Send either, so it is the caller who must
// keep excluded entries from being deleted. A path that exists again is no
// victim, unless dir is another directory in which it does not: an empty one
// lists what would have to make way for a file. The error is an *Error.
func (c *Client) Victims(ctx context.Context, dir *os.File, gone []tree.Path) ([]Extra, error) {
	var victims []Extra
	list := topmost(slices.DeleteFunc(slices.Clone(gone), func(p tree.Path) bool { return len(p) > maxPath }))
	if len(list) == 0 {
		return nil, nil
	}
	rep := c.exec(ctx, dir, mode{dry: true, gone: true, force: true}, newList(list), func(it item) {
		if it.deleting() {
			victims = append(victims, Extra{Path: it.path, Dir: it.dir})
		}
	})
	return victims, rep.trouble()
}

// trouble is the report's error unless all it says is what a dry run may well
// say: that a missing path is missing, or that a directory with excluded
// content stays.
func (r *report) trouble() error {
	if r.err == nil {
		return nil
	}
	hard := slices.ContainsFunc(r.named, func(e PathError) bool { return !e.Soft })
	if !r.broken() && !hard && !r.odd && !r.noExtras {
		return nil
	}
	return r.err
}
