package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"sync"
	"time"

	"syncagent/agent/proc"
)

// Spawner starts children in a process group each; *proc.Spawner does.
type Spawner interface {
	Start(*exec.Cmd) (*proc.Child, error)
}

// Config says what is to be kept running. Zero values take the defaults that
// stand beside the fields.
type Config struct {
	Name string // for messages: "rsync daemon"
	// Command makes a fresh command for each start. Its output is kept as last
	// lines unless it has a place to go already.
	Command func() *exec.Cmd
	Spawner Spawner
	// Ready returns nil once the child does its work. It is asked until then,
	// and ends when its context does; Status().PID is the child it is asked
	// about. nil means ready when started.
	//
	// It has to make sure that it is this child that answers: another one may
	// hold the port.
	Ready        func(context.Context) error
	ReadyEvery   time.Duration // between two questions; 50 ms
	ReadyTimeout time.Duration // until a child that is not ready is given up; 30 s
	// Alive returns nil while the child, once ready, does its work; one that does
	// not at aliveTries questions in a row is ended and started again. nil: nobody
	// asks.
	Alive        func(context.Context) error
	AliveEvery   time.Duration // between two questions; 10 s
	AliveAgain   time.Duration // after one that was not answered; AliveEvery
	AliveTimeout time.Duration // for an answer; 10 s
	// LogFile is where the child writes what it does not say on standard
	// error; "" is nowhere.
	LogFile   string
	Backoff   Backoff
	StopGrace time.Duration // between TERM and KILL; 5 s
	Lines     int           // last lines kept; 20
	Log       *slog.Logger  // nil is silence
	// OnState is called by Run after each change, in order. It must not wait
	// for Run.
	OnState func(State)
}

func (c Config) withDefaults() Config {
	setDefault(&c.ReadyEvery, 50*time.Millisecond)
	setDefault(&c.ReadyTimeout, 30*time.Second)
	setDefault(&c.AliveEvery, 10*time.Second)
	setDefault(&c.AliveAgain, c.AliveEvery)
	setDefault(&c.AliveTimeout, 10*time.Second)
	setDefault(&c.StopGrace, 5*time.Second)
	setDefault(&c.Lines, 20)
	c.Backoff = c.Backoff.withDefaults()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.OnState == nil {
		c.OnState = func(State) {}
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// process is what Run needs of a *proc.Child.
type process interface {
	PID() int
	Done() <-chan struct{}
	Wait() error
	Stop(grace time.Duration) error
}

// Supervisor keeps one child running.
type Supervisor struct {
	cfg     Config
	start   func(*exec.Cmd) (process, error)
	restart chan struct{} // holds one wish
	ring    *ring
	log     logTail

	mu       sync.Mutex
	status   Status
	launched bool // once at least
	delay    delay
}

// New returns a Supervisor that does nothing before Run.
func New(cfg Config) *Supervisor {
	cfg = cfg.withDefaults()
	return &Supervisor{
		cfg:     cfg,
		start:   func(cmd *exec.Cmd) (process, error) { return cfg.Spawner.Start(cmd) },
		restart: make(chan struct{}, 1),
		ring:    newRing(cfg.Lines),
		log:     logTail{path: cfg.LogFile},
		status:  Status{State: Stopped},
		delay:   delay{Backoff: cfg.Backoff},
	}
}

// Run keeps the child running until ctx ends, and returns when the child and
// its process group are gone. It never fails. Run works once.
func (s *Supervisor) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		p, ok := s.launch()
		if ok {
			s.attend(ctx, p)
		}
		s.pause(ctx)
	}
	s.gone()
	return nil
}

// Restart ends the child and starts it again without delay; a child that waits
// for its next try is started now. It does not wait.
func (s *Supervisor) Restart() {
	select {
	case s.restart <- struct{}{}:
	default: // one wish is enough
	}
}

// launch starts a child; false says that it did not start.
func (s *Supervisor) launch() (process, bool) {
	select {
	case <-s.restart: // this start fulfils it
	default:
	}
	s.ring.reset()
	s.log.mark()
	p, err := s.start(s.command())
	if err != nil {
		s.failed(fmt.Errorf("start %s: %w", s.cfg.Name, err))
		return nil, false
	}
	s.started(p.PID())
	return p, true
}

func (s *Supervisor) command() *exec.Cmd {
	cmd := s.cfg.Command()
	if cmd.Stdout == nil {
		cmd.Stdout = s.ring
	}
	if cmd.Stderr == nil {
		cmd.Stderr = s.ring
	}
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = outputDelay
	}
	return cmd
}

// outputDelay bounds the wait for output that something outside the child's
// process group holds open.
const outputDelay = time.Second

// attend serves one child's events until it is gone.
func (s *Supervisor) attend(ctx context.Context, p process) {
	asking, cancel := context.WithTimeout(ctx, s.cfg.ReadyTimeout)
	answer := s.ask(asking)
	watching, enough := context.WithCancel(ctx)
	var hangs chan error // once it is ready
	defer func() {
		cancel()
		enough()
		for _, c := range []chan error{answer, hangs} {
			if c != nil {
				<-c
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			s.stop(p)
			return
		case <-s.restart:
			s.stop(p)
			return
		case <-p.Done():
			s.failed(s.obituary(p.Wait()))
			return
		case err := <-answer:
			answer = nil
			switch {
			case err == nil:
				s.ready()
				hangs = s.listen(watching)
			case ctx.Err() == nil:
				s.stop(p)
				s.failed(fmt.Errorf("%s is not ready after %v: %w%s", s.cfg.Name, s.cfg.ReadyTimeout, err, s.lastWords()))
				return
			}
		case err := <-hangs:
			if hangs = nil; err != nil {
				s.stop(p)
				s.failed(fmt.Errorf("%s runs but does not answer: %w%s", s.cfg.Name, err, s.lastWords()))
				return
			}
		}
	}
}

// ask polls Ready; the channel gets one answer, the last error when ctx ends.
func (s *Supervisor) ask(ctx context.Context) chan error {
	answer := make(chan error, 1)
	if s.cfg.Ready == nil {
		answer <- nil
		return answer
	}
	go func() {
		for {
			err := s.cfg.Ready(ctx)
			if err == nil || !sleep(ctx, s.cfg.ReadyEvery) {
				answer <- err
				return
			}
		}
	}()
	return answer
}

func (s *Supervisor) stop(p process) {
	s.stopping()
	_ = p.Stop(s.cfg.StopGrace)
}

// pause waits out the backoff, if that is the state.
func (s *Supervisor) pause(ctx context.Context) {
	st := s.Status()
	if st.State != Waiting {
		return
	}
	timer := time.NewTimer(time.Until(st.NextTry))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-s.restart:
	case <-timer.C:
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
