package agent

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// Has reports whether the scope names anything.
func (m *Master) Has(s status.Scope) bool { return len(m.inScope(s)) > 0 }

// Pause keeps what changes and sends nothing, also after a restart, until it is
// called again to let go. A run that is under way ends first.
func (m *Master) Pause(req status.PauseRequest) []status.Changed {
	list := []status.Changed{}
	for _, r := range m.inScope(req.Scope) {
		c := status.Changed{Module: r.module.Name, Target: r.target.Name}
		if req.Until != nil {
			r.Hold(*req.Until)
		} else if err := r.Pause(req.Paused); err != nil {
			c.Error = err.Error()
		}
		r.mu.Lock()
		c.State = r.state(time.Now())
		r.mu.Unlock()
		list = append(list, c)
	}
	return list
}

// pauseStore keeps the user's pauses over restarts.
type pauseStore interface {
	Paused(module, target string) (bool, error)
	SetPaused(module, target string, paused bool) error
}

// Pause is SetPaused as soon as the replica knows whether it was.
func (r *Replica) Pause(paused bool) error {
	select {
	case <-r.begun:
	case <-r.ended:
	}
	return r.SetPaused(paused)
}

// SetPaused has the replica send nothing, or go on. It holds at once; the error
// says that it would not survive a restart.
func (r *Replica) SetPaused(paused bool) error {
	r.mu.Lock()
	changed := r.paused != paused
	r.paused = paused
	if !paused {
		r.holdUntil = time.Time{}
	}
	r.tellChange()
	r.mu.Unlock()
	switch {
	case changed && paused:
		r.log.Info("target is paused")
	case changed:
		r.log.Info("target goes on after a pause")
	}
	r.reconsider()
	return r.pauses.SetPaused(r.module.Name, r.target.Name, paused)
}

// Hold has the replica send nothing until then, or until the agent ends: who asked
// may die before it lets go, and nobody would look for a pause it left. A time in
// the past ends it, and leaves the user's own pause alone.
func (r *Replica) Hold(until time.Time) {
	r.mu.Lock()
	r.holdUntil = until
	r.tellChange()
	r.mu.Unlock()
	r.log.Info("target is held", "until", until)
	r.reconsider()
}

// reconsider has every loop look again at what it may send.
func (r *Replica) reconsider() {
	poke(r.wake)
	poke(r.bulk.wake)
	poke(r.sweepUp)
}

// still reports whether nothing is sent now, and for how long if that ends by
// itself. Needs the lock.
func (r *Replica) still(now time.Time) (wait time.Duration, still bool) {
	if r.paused {
		return 0, true
	}
	wait = r.holdUntil.Sub(now)
	return max(0, wait), wait > 0
}

// restorePause takes up the user's word, which stands whatever became of the journal
// and wherever the target stands now. If it cannot be read nothing is sent: a pause
// too many is seen and ended by the user, one too few sends what was not to go.
func (r *Replica) restorePause() {
	paused, err := r.pauses.Paused(r.module.Name, r.target.Name)
	if err != nil {
		r.log.Warn("whether the target is paused cannot be read, it is until \"agent resume\"", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paused = paused || err != nil
}

// errNothingFails: there is nothing to try again.
var errNothingFails = errors.New("no failing path has this name: \"agent status --failing\" lists them")

// Retry has failing paths tried at once, and a target that takes nothing too.
func (m *Master) Retry(req status.RetryRequest) ([]status.Changed, error) {
	list := []status.Changed{}
	found := 0
	for _, r := range m.inScope(req.Scope) {
		p, ok := r.within(req.Path.Name)
		if !ok {
			continue
		}
		n := r.retryAt(p)
		found += n
		r.mu.Lock()
		c := status.Changed{Module: r.module.Name, Target: r.target.Name, State: r.state(time.Now()), Paths: n}
		r.mu.Unlock()
		list = append(list, c)
	}
	if req.Path.Name != "" && found == 0 {
		return nil, fmt.Errorf("retry %q: %w", req.Path.Name, errNothingFails)
	}
	return list, nil
}

// retryAt tries what fails at and below p at once, and returns how much that is.
func (r *Replica) retryAt(p tree.Path) (n int) {
	r.mu.Lock()
	r.outage.notBefore = time.Time{}
	for q, t := range r.retries {
		if !p.Contains(q) {
			continue
		}
		n++
		if !t.next.IsZero() {
			t.next = time.Time{}
			r.mark(q, t.mark.What)
		}
	}
	r.mu.Unlock()
	poke(r.wake)
	poke(r.bulk.wake)
	poke(r.sweepUp)
	return n
}

// within returns name, absolute or relative to the module's directory, as a path of
// the module. The empty name is all of it.
func (r *Replica) within(name string) (tree.Path, bool) { return withinModule(r.module.Path, name) }

func withinModule(root, name string) (tree.Path, bool) {
	if filepath.IsAbs(name) {
		rel, err := filepath.Rel(root, name)
		if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
			return tree.Root, false
		}
		name = rel
	}
	if name = filepath.Clean(name); name == "." {
		return tree.Root, true
	}
	p, err := tree.ParsePath(name)
	return p, err == nil
}

// backdate says that what was just marked has been dirty since some time. Needs the
// lock.
func (r *Replica) backdate(since time.Time) {
	if since.IsZero() {
		return
	}
	if since.Before(r.marks.first) {
		r.marks.first = since
	}
	for _, f := range r.hot.files {
		if f.what != 0 && since.Before(f.since) {
			f.since = since
		}
	}
}
