package rsync

import (
	"fmt"

	"syncagent/agent/tree"
)

// listed is one run that names every path it is about.
//
// # What counts as confirmed
//
// Exit code 0 without a word of trouble, and an item for every path of send:
// -ii prints one even for what is equal, so that a path which rsync passed over
// in silence is noticed. A deleted path has no item when the slave did not
// have it; it is confirmed by the clean end alone.
//
// After any other end a dry run of the same list tells what still differs.
// When the first run worked through its list (23, 24, 0 with warnings) size
// and time decide, since every file was sent or complained about. When it
// broke off, what has no item was never reached and failed; the rest is
// compared by checksum, because a file may have kept its old content under
// the same size and time.
type listed struct {
	*sending
	mode mode
	what tree.What
	send []tree.Path
	gone []tree.Path

	seen pathSet
}

func (l *listed) run() *report { return l.look(func(item) {}) }

func (l *listed) look(onItem func(item)) *report {
	l.seen = make(pathSet, len(l.send))
	if len(l.send)+len(l.gone) == 0 {
		return &report{}
	}
	return l.exec(l.mode, newList(l.send, l.gone), func(it item) {
		if !it.deleting() {
			l.seen[it.path] = true
		}
		onItem(it)
	})
}

// settle fails what is not confirmed and returns the run's error, nil when
// everything turned out well.
func (l *listed) settle(rep *report) *Error {
	missed := l.missed()
	if rep.clean() && len(missed) == 0 {
		return nil
	}
	err := rep.err
	if err == nil {
		err = &Error{Class: Partial, Text: fmt.Sprintf("rsync passed over %d of %d paths", len(missed), len(l.send))}
	}
	if !rep.reachable() {
		l.failAll(l.send, l.what, err)
		l.failAll(l.gone, l.what, err)
		return err
	}
	before := len(l.out.Failed)
	l.verify(rep, missed, err)
	if rep.broken() {
		return err
	}
	if len(l.out.Failed) == before {
		return nil
	}
	return escalate(err, l.out.Failed[before:])
}

// missed returns the paths without an item.
func (l *listed) missed() []tree.Path {
	var missed []tree.Path
	for _, p := range l.send {
		if !l.seen[p] {
			missed = append(missed, p)
		}
	}
	return missed
}

func (l *listed) verify(rep *report, missed []tree.Path, err *Error) {
	mine := newPathSet(l.send, l.gone)
	why, foreign := l.attribute(rep, mine)
	m := mode{dry: true, gone: len(l.gone) > 0, force: true}
	send := l.send
	if rep.broken() || rep.odd || foreign {
		m.checksum = true
		l.failAll(missed, l.what, err)
		send = l.without(missed)
	}
	var differ []item
	again := &listed{sending: l.sending, mode: m, send: send, gone: l.gone}
	v := again.look(func(it item) {
		if !it.equal() {
			differ = append(differ, it)
		}
	})
	if v.broken() || v.odd || v.noExtras {
		l.failAll(send, l.what, err)
		l.failAll(l.gone, l.what, err)
		return
	}
	l.attribute(v, mine)
	l.failAll(again.missed(), l.what, err)
	for _, it := range differ {
		l.failItem(it, mine, why, err)
	}
}

func (l *listed) without(drop []tree.Path) []tree.Path {
	dropped := newPathSet(drop)
	var rest []tree.Path
	for _, p := range l.send {
		if !dropped[p] {
			rest = append(rest, p)
		}
	}
	return rest
}

// attribute finds for each complaint the path of the batch it is about, and
// fails those whose complaint is definite. foreign is true when one is about
// nothing we listed.
func (l *listed) attribute(rep *report, mine pathSet) (why map[tree.Path]PathError, foreign bool) {
	why = map[tree.Path]PathError{}
	for _, e := range rep.named {
		p, ok := mine.owner(e.Path)
		switch {
		case ok && p == e.Path && e.What == tree.Attrs:
		case ok:
			e.What |= l.what
		case e.Path != tree.Root && mine.holds(e.Path): // a parent that came along
			p, e.What = e.Path, tree.Attrs
		default:
			foreign = true
			continue
		}
		if _, ok := why[p]; !ok {
			why[p] = e
		}
		if !e.Soft {
			l.fail(p, e.What, e.Class, e.Text)
		}
	}
	return why, foreign
}

// failItem fails what the verifying run found different.
func (l *listed) failItem(it item, mine pathSet, why map[tree.Path]PathError, err *Error) {
	p, ok := mine.owner(it.path)
	what := l.what
	if !ok {
		p, what = it.path, tree.Attrs // a parent that came along
	}
	if p == tree.Root {
		return
	}
	class, text := Partial, "still differs on the slave ("+it.code+")"
	if err.Class != Partial {
		class, text = err.Class, err.Error()
	}
	if e, ok := why[p]; ok {
		class, text = e.Class, e.Text
		what |= e.What & tree.Deep
	}
	l.fail(p, what, class, text)
}

// escalate turns an error of single paths into one of the target when a path's
// reason concerns all of it.
func escalate(err *Error, failed []Failure) *Error {
	for _, f := range failed {
		switch f.Class {
		case DiskFull:
			return &Error{Class: DiskFull, Code: err.Code, Text: f.Text, Hint: hintFull, Err: err.Err}
		case ReadOnly:
			return &Error{Class: ReadOnly, Code: err.Code, Text: f.Text, Hint: "the slave's file system is mounted read-only", Err: err.Err}
		}
	}
	return err
}
