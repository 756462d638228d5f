package supervise

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// State is where a child's life stands.
type State string

// The states. A child that runs but has not said that it is ready is starting.
const (
	Starting State = "starting"
	Running  State = "running"
	Waiting  State = "backoff"
	Stopping State = "stopping"
	Stopped  State = "stopped"
)

// Status is a snapshot of a Supervisor.
type Status struct {
	State    State
	PID      int       // 0 when there is no child
	Restarts int       // starts after the first
	Since    time.Time // of the state
	NextTry  time.Time // in Waiting
	// LastLines are the end of what the last child said on its output and in
	// its log file, oldest first.
	LastLines []string
	// LastError is why the last child that failed did; it stays until the
	// next one is ready.
	LastError string
}

// Status may be called at any time.
func (s *Supervisor) Status() Status {
	lines := s.lastLines()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.LastLines = lines
	return st
}

// The events. Each does what its state calls for and ends in one transition.

func (s *Supervisor) started(pid int) {
	s.transition(Starting, func(st *Status) {
		if s.launched {
			st.Restarts++
		}
		s.launched = true
		st.PID = pid
	})
}

func (s *Supervisor) ready() {
	s.transition(Running, func(st *Status) { st.LastError = "" })
}

func (s *Supervisor) stopping() {
	s.transition(Stopping, nil)
}

// failed takes the child's end, or that it could not be started.
func (s *Supervisor) failed(err error) {
	now := time.Now()
	s.transition(Waiting, func(st *Status) {
		up := time.Duration(0)
		if st.State == Running {
			up = now.Sub(st.Since)
		}
		st.PID = 0
		st.LastError = err.Error()
		st.NextTry = now.Add(s.delay.next(up))
	})
}

// gone is the end: the child was stopped and is no more.
func (s *Supervisor) gone() {
	s.transition(Stopped, func(st *Status) { st.PID = 0 })
}

// transition is the only place where the state changes.
func (s *Supervisor) transition(to State, change func(*Status)) {
	s.mu.Lock()
	from := s.status.State
	if change != nil {
		change(&s.status)
	}
	if to != Waiting {
		s.status.NextTry = time.Time{}
	}
	s.status.State, s.status.Since = to, time.Now()
	st := s.status
	s.mu.Unlock()
	s.report(from, st)
	s.cfg.OnState(to)
}

func (s *Supervisor) report(from State, st Status) {
	attrs := []any{
		slog.String("process", s.cfg.Name), slog.String("from", string(from)),
		slog.String("to", string(st.State)), slog.Int("pid", st.PID),
	}
	if st.State != Waiting {
		s.cfg.Log.Info("process state changed", attrs...)
		return
	}
	s.cfg.Log.Warn("process ended, it will be started again", append(attrs,
		slog.String("error", st.LastError), slog.Duration("delay", time.Until(st.NextTry).Round(time.Millisecond)))...)
}

// obituary says how the child ended and what it said last.
func (s *Supervisor) obituary(err error) error {
	how := "exit status 0"
	if err != nil {
		how = err.Error()
	}
	return fmt.Errorf("%s ended with %s%s", s.cfg.Name, how, s.lastWords())
}

func (s *Supervisor) lastWords() string {
	lines := s.lastLines()
	if len(lines) == 0 {
		return ""
	}
	return ": " + strings.Join(lines[max(0, len(lines)-wordsInError):], "; ")
}

// wordsInError is how many last lines an error carries.
const wordsInError = 3

// lastLines puts the log after the output: what stands there is said on
// purpose.
func (s *Supervisor) lastLines() []string {
	lines := append(s.ring.lines(), s.log.read(s.cfg.Lines)...)
	return lines[max(0, len(lines)-s.cfg.Lines):]
}
