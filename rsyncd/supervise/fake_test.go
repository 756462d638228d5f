package supervise

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeProcess ends when it is told to.
type fakeProcess struct {
	pid     int
	done    chan struct{}
	err     error
	stopped bool
	grace   time.Duration
	dying   time.Duration // how long Stop takes
}

func (p *fakeProcess) PID() int              { return p.pid }
func (p *fakeProcess) Done() <-chan struct{} { return p.done }
func (p *fakeProcess) Wait() error           { <-p.done; return p.err }

func (p *fakeProcess) Stop(grace time.Duration) error {
	p.stopped, p.grace = true, grace
	time.Sleep(p.dying)
	p.end(errors.New("signal: terminated"))
	return p.Wait()
}

func (p *fakeProcess) end(err error) {
	select {
	case <-p.done:
	default:
		p.err = err
		close(p.done)
	}
}

// stage runs a Supervisor of fake processes in a bubble.
type stage struct {
	t      *testing.T
	s      *Supervisor
	cancel context.CancelFunc
	ended  chan struct{}

	mu       sync.Mutex
	started  []*fakeProcess
	tries    int
	states   []State
	startErr error
}

func play(t *testing.T, cfg Config, act func(*stage)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		st := &stage{t: t, cancel: cancel, ended: make(chan struct{})}
		cfg.Name = "thing"
		if cfg.Command == nil {
			cfg.Command = func() *exec.Cmd { return exec.Command("thing") }
		}
		cfg.OnState = st.saw
		st.s = New(cfg)
		st.s.start = st.start
		if got := st.s.Status().State; got != Stopped {
			t.Errorf("before Run: %s", got)
		}
		go func() {
			defer close(st.ended)
			if err := st.s.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		}()
		synctest.Wait()
		act(st)
		cancel()
		<-st.ended
		if got := st.s.Status(); got.State != Stopped || got.PID != 0 {
			t.Errorf("after Run: %+v", got)
		}
		for _, p := range st.started {
			select {
			case <-p.done:
			default:
				t.Errorf("process %d is left", p.pid)
			}
		}
	})
}

func (st *stage) start(cmd *exec.Cmd) (process, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.tries++
	if st.startErr != nil {
		return nil, st.startErr
	}
	p := &fakeProcess{pid: 100 + len(st.started), done: make(chan struct{})}
	st.started = append(st.started, p)
	if cmd.Stdout == nil || cmd.Stderr == nil {
		st.t.Error("nobody keeps the output")
	}
	return p, nil
}

func (st *stage) saw(s State) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.states = append(st.states, s)
}

// last is the newest process.
func (st *stage) last() *fakeProcess { return st.process(st.starts() - 1) }

func (st *stage) process(i int) *fakeProcess {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.started[i]
}

func (st *stage) starts() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.started)
}

// failStarts makes starting fail from now on, or work again.
func (st *stage) failStarts(err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.startErr = err
}

// die ends the newest process and lets the Supervisor notice.
func (st *stage) die(err error) {
	st.last().end(err)
	synctest.Wait()
}

func (st *stage) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// sawStates compares and forgets.
func (st *stage) sawStates(want ...State) {
	st.t.Helper()
	st.mu.Lock()
	defer st.mu.Unlock()
	if !slices.Equal(st.states, want) {
		st.t.Errorf("states %v, want %v", st.states, want)
	}
	st.states = nil
}
