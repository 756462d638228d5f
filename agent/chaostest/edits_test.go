package chaostest

import (
	"sync"
	"time"
)

// edits is the gate that every change of the trees passes, so that the sampler
// knows when the last one ended and can hold the next one up.
type edits struct {
	mu       sync.RWMutex // read-locked by edits, locked by whoever wants none
	at       sync.Mutex
	ended    time.Time
	tampered bool
	random   sync.Mutex // the churn knows no other
}

// edit changes the master's tree.
func (w *world) edit(do func()) {
	w.edits.mu.RLock()
	defer w.edits.mu.RUnlock()
	do()
	w.edits.at.Lock()
	defer w.edits.at.Unlock()
	w.edits.ended = time.Now()
}

// editAlone is edit without random edits beside it.
func (w *world) editAlone(do func()) {
	w.edit(func() {
		w.edits.random.Lock()
		defer w.edits.random.Unlock()
		do()
	})
}

// tamper changes a slave's tree behind everybody's back. From here on nothing
// that is said about the slaves can be true, and nothing is held against it
// until amend.
func (w *world) tamper(do func()) {
	w.edits.mu.Lock()
	defer w.edits.mu.Unlock()
	w.edits.tampered = true
	do()
}

// amend ends tamper, once the agent has had a way to know.
func (w *world) amend() {
	w.edits.mu.Lock()
	defer w.edits.mu.Unlock()
	w.edits.tampered = false
}

// frozen runs look while nothing changes; last is when the last edit ended.
func (w *world) frozen(look func(last time.Time)) {
	w.edits.mu.Lock()
	defer w.edits.mu.Unlock()
	if !w.edits.tampered {
		look(w.edits.ended)
	}
}

// step makes edits at random and notes them in the log.
func (w *world) step(n int) {
	for range n {
		w.editAlone(func() { w.note(w.churn.Step()) })
	}
}

// churning edits at random until the returned function is called.
func (w *world) churning(rest time.Duration) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-time.After(rest):
			}
			w.step(1)
		}
	}()
	return sync.OnceFunc(func() { close(end); <-ended })
}
