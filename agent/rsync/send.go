package rsync

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"syncagent/agent/tree"
)

// sending is one call of Send.
type sending struct {
	c     *Client
	ctx   context.Context
	dir   *os.File
	batch Batch
	guard *guard

	crowded []tree.Path // of Gone, what only a run with --force may remove

	fresh []tree.Path // of Deep, what a seed made

	out    Outcome
	failed map[tree.Path]int // index into out.Failed
}

func (s *sending) run() Outcome {
	s.failed = map[tree.Path]int{}
	s.guard = newGuard(s.dir, len(s.batch.Send)+len(s.batch.Replace)+len(s.batch.Attrs))
	s.batch.Deep = s.sendable(s.batch.Deep)
	for _, paths := range []*[]tree.Path{&s.batch.Send, &s.batch.Replace, &s.batch.Attrs, &s.batch.Gone} {
		*paths = slices.DeleteFunc(s.sendable(*paths), isRoot)
	}
	s.sortDeep()
	var stop *Error
	for _, step := range []func(*Error) *Error{s.sendSeeds, s.sendContent, s.sendForced, s.sendAttrs, s.sendDeep} {
		err := step(stop)
		s.keep(err)
		if err != nil && err.Class != Partial {
			stop = err
		}
	}
	if s.out.Err == nil && len(s.out.Failed) > 0 {
		f := s.out.Failed[0]
		s.out.Err = &Error{Class: Partial, Text: printable(fmt.Sprintf("%s: %s", f.Path, f.Text), maxText)}
	}
	return s.out
}

// keep remembers the gravest error: one of the whole target before one of
// single paths.
func (s *sending) keep(err *Error) {
	if err != nil && (s.out.Err == nil || s.out.Err.Class == Partial) {
		s.out.Err = err
	}
}

// fail notes that the slave lacks p; the first reason is kept.
func (s *sending) fail(p tree.Path, what tree.What, class Class, text string) {
	if i, ok := s.failed[p]; ok {
		s.out.Failed[i].What |= what
		s.out.Failed[i].Newer = false
		return
	}
	s.failed[p] = len(s.out.Failed)
	s.out.Failed = append(s.out.Failed, Failure{Path: p, What: what, Class: class, Text: printable(text, 512)})
}

func (s *sending) failAll(paths []tree.Path, what tree.What, err *Error) {
	for _, p := range paths {
		s.fail(p, what, err.Class, err.Error())
	}
}

// isRoot: the slave's root is the slave's own, no run that writes lists it.
func isRoot(p tree.Path) bool { return p == tree.Root }

// sendable drops, and fails for good, what rsync cannot send.
func (s *sending) sendable(paths []tree.Path) []tree.Path {
	return slices.DeleteFunc(slices.Clone(paths), func(p tree.Path) bool {
		if len(p) <= maxPath {
			return false
		}
		s.fail(p, tree.Content, Usage, fmt.Sprintf("path of %d bytes is longer than rsync can send (%d): shorten it", len(p), maxPath))
		return true
	})
}

// sortDeep moves what is no directory out of the deep marks: content that is
// named is sent whatever its size and time. What vanished must be looked at
// again before it is deleted.
func (s *sending) sortDeep() {
	var deep []tree.Path
	for _, p := range topmost(s.batch.Deep) {
		sig, err := lstatAt(s.guard.fd, p)
		switch {
		case err != nil:
			s.fail(p, tree.Deep, Transient, fmt.Sprintf("look at source: %v", err))
		case sig.isDir():
			deep = append(deep, p)
		default:
			s.batch.Send = append(s.batch.Send, p)
		}
	}
	s.batch.Deep = deep
}

// remembered returns the paths that are there, with their state noted. One
// that is missing is never listed: it would be deleted on the slave without
// having passed the caller's gate.
func (s *sending) remembered(paths []tree.Path, what tree.What) []tree.Path {
	return slices.DeleteFunc(paths, func(p tree.Path) bool {
		err := s.guard.remember(p)
		if err != nil {
			s.fail(p, what, Transient, fmt.Sprintf("look at source: %v", err))
		}
		return err != nil
	})
}

// sendContent runs Send, and what of Gone needs no force. Directories that turn out
// to hold something are left to the next run, unless the caller said that there are
// none.
func (s *sending) sendContent(stop *Error) *Error {
	var gone []tree.Path
	if s.batch.Flat || len(s.batch.Send) > 0 {
		gone = topmost(s.batch.Gone)
		s.crowded = nil
	} else {
		s.crowded = topmost(s.batch.Gone)
	}
	return s.sendListed(stop, mode{again: true}, s.batch.Send, gone)
}

// sendForced runs what may remove a directory with all that is in it. With --force
// rsync would do so for every path of a run, so only those stand in this one that
// the caller knows about.
func (s *sending) sendForced(stop *Error) *Error {
	return s.sendListed(stop, mode{again: true, force: true}, s.batch.Replace, s.crowded)
}

// sendListed runs paths that are there and paths that are gone. A slave that cannot
// delete listed paths still gets the content.
func (s *sending) sendListed(stop *Error, m mode, paths, gone []tree.Path) *Error {
	if stop != nil {
		s.failAll(paths, tree.Content, stop)
		s.failAll(gone, tree.Content, stop)
		return nil
	}
	send := s.remembered(paths, tree.Content)
	m.gone = len(gone) > 0
	m.bulk = s.batch.Bulk
	if m.gone || m.force {
		m.maxDelete = s.batch.MaxDelete
	}
	l := &listed{sending: s, mode: m, what: tree.Content, send: send, gone: gone}
	rep := l.run()
	if !m.force && !s.batch.Flat && len(gone) > 0 {
		s.crowded = rep.crowded(gone)
		left := newPathSet(s.crowded)
		gone = slices.DeleteFunc(gone, func(p tree.Path) bool { return left[p] })
		l.gone = gone
	}
	if rep.cannotDelete(gone) {
		rep.err = &Error{Class: Incompatible, Code: 2, Text: rep.err.Text, Hint: hintMissing, Err: rep.err.Err}
	}
	if rep.err != nil && rep.err.Class == Incompatible && len(gone) > 0 && len(send) > 0 {
		s.failAll(gone, tree.Content, rep.err)
		s.keep(rep.err)
		m.gone = false
		l = &listed{sending: s, mode: m, what: tree.Content, send: send}
		rep = l.run()
	}
	err := l.settle(rep)
	s.checkMoved(send, tree.Content)
	s.checkBack(gone)
	return err
}

// crowded takes out of the report the paths of gone that are directories with
// content, which a run without --force leaves alone.
func (r *report) crowded(gone []tree.Path) []tree.Path {
	var list []tree.Path
	listed := newPathSet(gone)
	r.named = slices.DeleteFunc(r.named, func(e PathError) bool {
		is := listed[e.Path] && strings.HasPrefix(e.Text, "cannot delete non-empty directory")
		if is {
			list = append(list, e.Path)
		}
		return is
	})
	if len(list) > 0 && len(r.named) == 0 && !r.odd && !r.noExtras && !r.limited && r.err != nil && r.err.Code == 0 {
		r.err = nil // that was all
	}
	return list
}

// cannotDelete recognises a slave that takes a listed path which is missing for a
// file of no kind: it knows no --delete-missing-args, and was given nothing else
// that would make it say so.
func (r *report) cannotDelete(gone []tree.Path) bool {
	return r.err != nil && slices.ContainsFunc(r.named, func(e PathError) bool {
		return strings.HasPrefix(e.Text, "skipping non-regular file") && slices.Contains(gone, e.Path)
	})
}

func (s *sending) sendAttrs(stop *Error) *Error {
	if stop != nil {
		s.failAll(s.batch.Attrs, tree.Attrs, stop)
		return nil
	}
	attrs := s.remembered(s.batch.Attrs, tree.Attrs)
	l := &listed{sending: s, what: tree.Attrs, send: attrs}
	err := l.settle(l.run())
	s.checkMoved(attrs, tree.Attrs)
	return err
}

// checkMoved fails what was changed while it was sent.
func (s *sending) checkMoved(paths []tree.Path, what tree.What) {
	for _, p := range paths {
		if !s.guard.moved(p) {
			continue
		}
		_, failed := s.failed[p]
		s.fail(p, what, Transient, "changed while it was sent")
		s.out.Failed[s.failed[p]].Newer = !failed
	}
}

// checkBack fails deleted paths that exist again: rsync then sent the entry
// itself, and what the slave kept below it is unknown.
func (s *sending) checkBack(gone []tree.Path) {
	for _, p := range gone {
		if _, err := lstatAt(s.guard.fd, p); err == nil {
			s.fail(p, tree.Content|tree.Deep, Transient, "exists again")
		}
	}
}

// exec runs rsync and counts.
func (s *sending) exec(m mode, list []byte, onItem func(item)) *report {
	s.out.Stats.Runs++
	rep := s.c.exec(s.ctx, s.dir, m, list, func(it item) {
		if !m.dry {
			s.out.Stats.count(it)
		}
		onItem(it)
	})
	s.out.Cut = s.out.Cut || rep.cut && !m.dry
	return rep
}

func (s *Stats) count(it item) {
	switch {
	case it.deleting():
		s.Deletes++
	case it.sent():
		s.Files++
		s.Bytes += it.size
	}
	if it.created() {
		s.Created++
	}
}
