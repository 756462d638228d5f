package agent

import (
	"slices"
	"sync"
	"time"

	"syncagent/agent/root"
	"syncagent/agent/tree"
)

// look is a batch looked up in a root that passed the guard, before and after.
// Several replicas may hold one at a time; it stays open until all have closed
// it.
type look struct {
	*view
	entries []root.Entry // never changed

	weights sync.Mutex
	weighed map[tree.Path]root.Weight

	batch tree.Batch
	begun time.Time
	users int
	from  *looks
}

// looks lets the replicas of a module share what they look up: the targets of a
// module usually have the same batch at the same time, and with a hundred of
// them looking costs more than all else.
type looks struct {
	mu   sync.Mutex
	last *look // as long as somebody holds it
}

// share returns the look under way if it is about the same batch and was begun
// after the batch was taken: what happened since will be marked again. Else it
// makes a new one.
func (s *looks) share(b tree.Batch, taken time.Time, open func() (*view, error), confirm func(*view) error) (*look, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.last; l != nil && l.begun.After(taken) && slices.Equal(l.batch, b) {
		l.users++
		return l, nil
	}
	l := &look{batch: b, begun: time.Now(), users: 1, from: s}
	if err := l.fill(open, confirm); err != nil {
		return nil, err
	}
	s.last = l
	return l, nil
}

func (l *look) fill(open func() (*view, error), confirm func(*view) error) (err error) {
	if l.view, err = open(); err != nil {
		return err
	}
	if l.entries, err = l.Lookup(l.batch); err != nil {
		err = &blockedError{why: "source directory " + l.Path() + " cannot be looked at (" + cause(err).Error() + "): check it"}
	} else {
		err = confirm(l.view)
	}
	if err != nil {
		l.view.Close()
	}
	return err
}

// close lets go of the look.
func (l *look) close() {
	l.from.mu.Lock()
	defer l.from.mu.Unlock()
	if l.users--; l.users > 0 {
		return
	}
	l.view.Close()
	if l.from.last == l {
		l.from.last = nil
	}
}

// weigh weighs the subtree at p, once for all who share the look.
func (l *look) weigh(p tree.Path, entries int, large int64) root.Weight {
	l.weights.Lock()
	defer l.weights.Unlock()
	w, known := l.weighed[p]
	if known {
		return w
	}
	if l.weighed == nil {
		l.weighed = map[tree.Path]root.Weight{}
	}
	w = l.Weigh(p, entries, large)
	l.weighed[p] = w
	return w
}
