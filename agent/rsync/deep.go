package rsync

import (
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// sendDeep sends whole subtrees and lists what is left of them. It never
// deletes: neither --delete nor --delete-missing-args nor --force is given, so
// that a subtree which vanishes meanwhile, or a directory of the slave that
// stands where we have a file, is only reported.
func (s *sending) sendDeep(stop *Error) *Error {
	deep := s.batch.Deep
	if len(deep) == 0 {
		return nil
	}
	if stop != nil {
		s.failAll(deep, tree.Deep, stop)
		return nil
	}
	if s.c.cfg.Options.Excludes != nil {
		e := &Error{Class: Usage, Code: -1, Text: "a subtree cannot be sent as a whole with expressions in the filter"}
		s.failAll(deep, tree.Deep, e)
		return e
	}
	list, err := s.entries(deep)
	if err != nil {
		e := &Error{Class: SourceGone, Code: -1, Err: err}
		s.failAll(deep, tree.Deep, e)
		return e
	}
	mine, fresh, leave := newPathSet(deep), newPathSet(s.fresh), leaveRules(s.batch.Leave)
	rep := &report{}
	if len(list) > 0 {
		rep = s.exec(mode{deep: true, again: s.batch.Anew, leave: leave}, newList(list), func(it item) {
			if it.deleting() {
				return
			}
			s.out.Stats.Entries++
			if it.created() && it.dir && mine[it.path] {
				fresh[it.path] = true
			}
		})
	}
	return s.settleDeep(deep, mine, fresh, rep)
}

// sendOther follows the run of Deep for what may be another directory than the slave
// has had there: of two files of equal size and time only the bytes tell which one it
// is. What the slave had nothing of has just been sent whole.
func (s *sending) sendOther(deep []tree.Path, mine, fresh pathSet, rep *report) *Error {
	list := slices.DeleteFunc(slices.Clone(s.batch.Other), func(p tree.Path) bool { return fresh[p] || !mine[p] })
	if len(list) == 0 || s.batch.Anew && !rep.broken() {
		return nil
	}
	if rep.broken() {
		s.failAll(list, tree.Deep, rep.err)
		return nil
	}
	more := s.exec(mode{deep: true, checksum: true, leave: leaveRules(s.batch.Leave)}, newList(list), func(item) {})
	if more.broken() {
		s.failAll(deep, tree.Deep, more.err)
		return more.err
	}
	s.failNamed(more, deep, mine)
	return nil
}

// entries replaces the root by all that is in it.
func (s *sending) entries(deep []tree.Path) ([]tree.Path, error) {
	if deep[0] != tree.Root { // topmost: the root stands alone
		return deep, nil
	}
	fd, err := unix.Openat(s.guard.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("read source directory: %w", err)
	}
	f := os.NewFile(uintptr(fd), s.c.cfg.Source)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read source directory: %w", err)
	}
	paths := make([]tree.Path, 0, len(names))
	for _, n := range names {
		paths = append(paths, tree.Root.Join(n))
	}
	return paths, nil
}

// settleDeep looks for what is left, unless the slave had none of it before
// and all went well: then there can be no extras.
func (s *sending) settleDeep(deep []tree.Path, mine, fresh pathSet, rep *report) *Error {
	if !rep.reachable() {
		s.failAll(deep, tree.Deep, rep.err)
		return rep.err
	}
	if rep.clean() && len(fresh) == len(deep) {
		return nil
	}
	before := len(s.out.Failed)
	s.failNamed(rep, deep, mine)
	if err := s.sendOther(deep, mine, fresh, rep); err != nil {
		return worse(rep.err, err)
	}
	diff := Diff{}
	m := compareMode(false)
	m.leave = leaveRules(s.batch.Leave)
	v := s.exec(m, newList(deep), diff.add)
	if v.broken() {
		s.failAll(deep, tree.Deep, v.err)
		return worse(rep.err, v.err)
	}
	s.failNamed(v, deep, mine)
	if v.noExtras {
		s.failAll(deep, tree.Deep, v.err)
	}
	diff.crowded(s.dir, v)
	s.out.Extras = diff.Extras
	for _, d := range diff.Differ {
		s.out.Differ = append(s.out.Differ, d.Path)
	}
	switch {
	case rep.broken():
		return rep.err
	case len(s.out.Failed) == before:
		return nil
	}
	return escalate(worse(rep.err, v.err), s.out.Failed[before:])
}

// worse returns the error of the target, or else the first one there is.
func worse(a, b *Error) *Error {
	if a == nil || b != nil && a.Class == Partial {
		return b
	}
	return a
}

// failNamed fails the paths that were complained about. When one cannot be
// told, all the subtrees are failed.
func (s *sending) failNamed(rep *report, deep []tree.Path, mine pathSet) {
	lost := rep.odd && !rep.broken()
	for _, e := range rep.named {
		if e.Soft {
			continue
		}
		if _, ok := mine.owner(e.Path); !ok && !mine.holds(e.Path) {
			lost = true
			continue
		}
		if e.Path == tree.Root {
			lost = true
			continue
		}
		what := e.What
		if what&tree.Content != 0 {
			what |= tree.Deep // of a directory, what is in it was skipped
		}
		s.fail(e.Path, what, e.Class, e.Text)
	}
	if lost {
		s.failAll(deep, tree.Deep, rep.err)
	}
}
