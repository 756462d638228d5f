package chaostest

import (
	"fmt"
	"sync"
	"time"

	"syncagent/agent/status"
	"syncagent/rsyncd/rsyncdtest"
)

const (
	// sampleEvery is how often the agent is asked.
	sampleEvery = 200 * time.Millisecond
	// eventTime is how long after an edit a target may still be called idle: an
	// event has to travel. It does not excuse in_sync_as_of.
	eventTime = time.Second
	// patientEvery is how many samples it takes until edits wait for one that
	// says something about the last of them, and patience for how long.
	patientEvery = 10
	patience     = 2 * time.Second
)

// truth is what the sampler found.
type truth struct {
	mu      sync.Mutex
	asked   int // answers
	checked int // claims to be in sync that were compared with the trees
	unclear int // a transfer began or ended meanwhile
	lies    []string
	behind  map[string]time.Time // targets that cannot be in sync since
}

// claims reports whether the target is said to be in sync now.
func claims(t status.Target) bool { return t.State == status.Idle && !t.Behind() && t.Lag == 0 }

// sampling asks until the returned function is called.
func (w *world) sampling() (stop func()) {
	w.truth.behind = map[string]time.Time{}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var took time.Duration // of a large tree long: the edits must get on
		for n := 1; ; n++ {
			select {
			case <-end:
				return
			case <-time.After(max(sampleEvery, 3*took)):
			}
			begin := time.Now()
			w.frozen(func(last time.Time) {
				w.sample(last)
				if n%patientEvery == 0 {
					w.samplePatiently(last)
				}
			})
			took = time.Since(begin)
		}
	}()
	return sync.OnceFunc(func() { close(end); <-ended })
}

// sample asks once and compares what is said with what is.
func (w *world) sample(last time.Time) {
	asked := time.Now()
	m, err := w.status()
	if err != nil {
		return // nobody there to say anything
	}
	w.truth.add(&w.truth.asked)
	for i, t := range m.Targets {
		w.holdToLag(t, asked)
		if !claims(t) {
			continue
		}
		if t.InSyncAsOf.Before(last) && asked.Sub(last) < eventTime {
			continue // nothing is said about the last edit yet
		}
		w.holdToSync(i, t, last)
	}
}

// samplePatiently asks until a claim could be compared.
func (w *world) samplePatiently(last time.Time) {
	checked := w.truth.count()
	for end := time.Now().Add(patience); time.Now().Before(end) && w.truth.count() == checked; {
		pause(sampleEvery / 4)
		w.sample(last)
	}
}

// holdToSync compares a target that is said to be in sync. A transfer that is
// under way, of what was marked twice, shows its temporary files.
func (w *world) holdToSync(i int, before status.Target, last time.Time) {
	err := rsyncdtest.Equal(w.source, w.slaves[i].tree)
	if err == nil {
		w.truth.add(&w.truth.checked)
		return
	}
	m, asked := w.status()
	if asked != nil || !claims(m.Targets[i]) || m.Targets[i].Connections != before.Connections {
		w.truth.add(&w.truth.unclear)
		return
	}
	w.truth.lie("%s is called in sync as of %s, the last edit was at %s: %v",
		before.Name, stamp(before.InSyncAsOf.Time), stamp(last), err)
}

// holdToLag takes targets of which we know that they lack something at their
// word.
func (w *world) holdToLag(t status.Target, asked time.Time) {
	w.truth.mu.Lock()
	since, behind := w.truth.behind[t.Name]
	w.truth.mu.Unlock()
	lack := asked.Sub(since)
	if !behind || lack < 2*eventTime {
		return
	}
	if least := (lack - eventTime).Seconds(); t.Lag < least || !t.Behind() {
		w.truth.lie("%s lacks a change for %.1f s and is called %s, %d pending, lag %.1f s", t.Name, lack.Seconds(), t.State, t.Pending, t.Lag)
	}
	if t.InSyncAsOf.After(since) {
		w.truth.lie("%s lacks a change since %s and is called in sync as of %s", t.Name, stamp(since), stamp(t.InSyncAsOf.Time))
	}
}

// lacks says that a change was just made that the target cannot get until has
// is called. Not over restarts of the agent.
func (w *world) lacks(targets ...string) {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	for _, t := range targets {
		w.truth.behind[t] = time.Now()
	}
}

// has ends lacks, before the fault is mended.
func (w *world) has(targets ...string) {
	w.edits.mu.Lock() // nobody is asking
	defer w.edits.mu.Unlock()
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	for _, t := range targets {
		delete(w.truth.behind, t)
	}
}

func (t *truth) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.checked
}

func (t *truth) add(n *int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*n++
}

func (t *truth) lie(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lies) < 5 {
		t.lies = append(t.lies, fmt.Sprintf(format, args...))
	}
}

func stamp(t time.Time) string { return t.UTC().Format("15:04:05.000") }
