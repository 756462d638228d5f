package proc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrStopped is returned by Start once Run has ended or is ending.
var ErrStopped = errors.New("start process: no more children are started, we are shutting down")

// TokenEnv is the environment variable by which a child and its descendants
// are known as ours.
const TokenEnv = "SYNCAGENT_SPAWNER"

// stopGrace is what Run leaves the remaining children between TERM and KILL
// when its context ends.
const stopGrace = 3 * time.Second

// Spawner starts children from one thread that lives as long as they do.
type Spawner struct {
	path  string
	token string
	lower Priority
	log   *slog.Logger
	reqs  chan request
	done  chan struct{} // closed when Start is refused from now on

	mu       sync.Mutex
	children map[*Child]struct{}
	rec      *record
	failed   bool // the record could not be written once, and that was told
}

type request struct {
	cmd   *exec.Cmd
	reply chan reply
}

type reply struct {
	child *Child
	err   error
}

// NewSpawner returns a Spawner that notes its children's process groups in
// the file record; "" keeps no record. Call EndLeftovers on the same file
// first.
func NewSpawner(record string) *Spawner {
	return &Spawner{
		path:     record,
		token:    rand.Text(),
		log:      slog.New(slog.DiscardHandler),
		reqs:     make(chan request),
		done:     make(chan struct{}),
		children: map[*Child]struct{}{},
	}
}

// Lower gives all children a lower priority than ours. Call it before Run.
func (s *Spawner) Lower(p Priority) { s.lower = p }

// Log tells of a record that cannot be written, once. That keeps no child from
// being started: it still dies with us, only its own children might not. Call it
// before Run.
func (s *Spawner) Log(l *slog.Logger) { s.log = l }

// While runs work beside Run, which goes on until work has returned, also when ctx
// ends meanwhile: whoever stops its children itself can. It fails as work
// does, else as Run does.
func (s *Spawner) While(ctx context.Context, work func() error) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(life) }()
	err := work()
	end()
	if failed := <-ended; err == nil {
		err = failed
	}
	return err
}

// Run serves Start until ctx ends, then stops the children that are left (TERM,
// three seconds, KILL) and returns when all are gone. A user that wants
// to stop its children more gently does so before ctx ends. Run works once.
//
// It fails only when the record cannot be opened or the priority cannot be set.
func (s *Spawner) Run(ctx context.Context) error {
	defer close(s.done)
	if s.path != "" {
		rec, err := openRecord(s.path, s.token)
		if err != nil {
			return err
		}
		defer rec.close()
		s.mu.Lock()
		s.rec = rec
		s.mu.Unlock()
	}
	ended := make(chan error)
	go func() { ended <- s.aside(ctx) }()
	return <-ended
}

// aside serves on a thread that is not the process's first: that one cannot end, and
// what it has as priority is what is shown as the process's.
func (s *Spawner) aside(ctx context.Context) error {
	runtime.LockOSThread()
	if unix.Gettid() != os.Getpid() {
		return s.serve(ctx)
	}
	defer runtime.UnlockOSThread()
	ended := make(chan error)
	go func() { ended <- s.aside(ctx) }() // this thread is taken meanwhile
	return <-ended
}

// serve ends with its thread still locked, which ends the thread: it may have a
// lower priority, and no other goroutine shall.
func (s *Spawner) serve(ctx context.Context) error {
	if err := s.lower.apply(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			s.stopAll()
			return nil
		case r := <-s.reqs:
			c, err := s.start(r.cmd)
			r.reply <- reply{c, err}
		}
	}
}

// Start starts cmd in a process group of its own. The caller must not call
// cmd.Wait; Child does. Before Run it waits for Run; when Run has ended it
// fails with ErrStopped.
func (s *Spawner) Start(cmd *exec.Cmd) (*Child, error) {
	r := request{cmd, make(chan reply, 1)}
	select {
	case s.reqs <- r:
		a := <-r.reply
		return a.child, a.err
	case <-s.done:
		return nil, ErrStopped
	}
}

// start runs on Run's locked thread.
func (s *Spawner) start(cmd *exec.Cmd) (*Child, error) {
	attr := syscall.SysProcAttr{}
	if cmd.SysProcAttr != nil {
		attr = *cmd.SysProcAttr
	}
	attr.Setpgid, attr.Pgid, attr.Pdeathsig = true, 0, syscall.SIGKILL
	cmd.SysProcAttr = &attr
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, TokenEnv+"="+s.token)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	c := newChild(cmd)
	s.mu.Lock()
	s.children[c] = struct{}{}
	s.noteLocked(func(r *record) error { return r.started(c.PID(), filepath.Base(cmd.Path)) })
	s.mu.Unlock()
	go c.reap(s.ended)
	return c, nil
}

// ended forgets a child; it runs before the child's Done is closed.
func (s *Spawner) ended(c *Child) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.children, c)
	s.noteLocked(func(r *record) error { return r.ended(c.PID(), len(s.children) == 0) })
}

func (s *Spawner) noteLocked(write func(*record) error) {
	if s.rec == nil {
		return
	}
	if err := write(s.rec); err != nil && !s.failed {
		s.failed = true
		s.log.Warn("process record cannot be written: what a killed agent leaves behind may live on", "file", s.path, "error", err)
	}
}

func (s *Spawner) stopAll() {
	s.mu.Lock()
	var left []*Child
	for c := range s.children {
		left = append(left, c)
	}
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range left {
		wg.Go(func() { _ = c.Stop(stopGrace) })
	}
	wg.Wait()
}
