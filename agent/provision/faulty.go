package provision

import (
	"context"
	"errors"
	"io"
	"sync"
)

// Operations as a Fault sees them. The path of OpUnitState is the unit, that
// of OpService the verb and the unit, of OpRename the new name.
const (
	OpLstat      = "lstat"
	OpRead       = "read"
	OpList       = "list"
	OpCreate     = "create"
	OpWrite      = "write"
	OpClose      = "close"
	OpMkdir      = "mkdir"
	OpSymlink    = "symlink"
	OpAttr       = "attr"
	OpRename     = "rename"
	OpRemove     = "remove"
	OpSyncDir    = "syncdir"
	OpLock       = "lock"
	OpCreateLock = "createlock"
	OpUnitState  = "unitstate"
	OpService    = "service"
)

// ErrKilled ends a Faulty System for good: nothing is done from then on, as
// if the process had been killed.
var ErrKilled = errors.New("killed")

// Fault is asked before each operation; an error makes it fail. A failing
// OpWrite leaves half of the content behind.
type Fault func(op, path string) error

// Faulty returns sys with fault in front of it. It shows how a run behaves
// when a step fails (any error) or is its last (ErrKilled).
func Faulty(sys System, fault Fault) System {
	return &faulty{System: sys, fault: fault}
}

type faulty struct {
	System // Self, UserID and GroupID pass
	fault  Fault

	mu   sync.Mutex
	dead bool
}

func (s *faulty) ask(op, path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return ErrKilled
	}
	err := s.fault(op, path)
	s.dead = errors.Is(err, ErrKilled)
	return err
}

func (s *faulty) Lstat(name string) (Stat, error) {
	if err := s.ask(OpLstat, name); err != nil {
		return Stat{}, err
	}
	return s.System.Lstat(name)
}

func (s *faulty) ReadFile(name string) ([]byte, error) {
	if err := s.ask(OpRead, name); err != nil {
		return nil, err
	}
	return s.System.ReadFile(name)
}

func (s *faulty) List(dir string) ([]string, error) {
	if err := s.ask(OpList, dir); err != nil {
		return nil, err
	}
	return s.System.List(dir)
}

func (s *faulty) Create(name string) (Temp, error) {
	if err := s.ask(OpCreate, name); err != nil {
		return nil, err
	}
	t, err := s.System.Create(name)
	if err != nil {
		return nil, err
	}
	return &faultyTemp{Temp: t, sys: s, name: name}, nil
}

func (s *faulty) Mkdir(name string) error {
	if err := s.ask(OpMkdir, name); err != nil {
		return err
	}
	return s.System.Mkdir(name)
}

func (s *faulty) Symlink(target, name string) error {
	if err := s.ask(OpSymlink, name); err != nil {
		return err
	}
	return s.System.Symlink(target, name)
}

func (s *faulty) SetAttr(name string, a Attr) error {
	if err := s.ask(OpAttr, name); err != nil {
		return err
	}
	return s.System.SetAttr(name, a)
}

func (s *faulty) Rename(from, to string) error {
	if err := s.ask(OpRename, to); err != nil {
		return err
	}
	return s.System.Rename(from, to)
}

func (s *faulty) Remove(name string) error {
	if err := s.ask(OpRemove, name); err != nil {
		return err
	}
	return s.System.Remove(name)
}

func (s *faulty) SyncDir(dir string) error {
	if err := s.ask(OpSyncDir, dir); err != nil {
		return err
	}
	return s.System.SyncDir(dir)
}

func (s *faulty) Lock(name string, create bool) (io.Closer, error) {
	op := OpLock
	if create {
		op = OpCreateLock
	}
	if err := s.ask(op, name); err != nil {
		return nil, err
	}
	return s.System.Lock(name, create)
}

func (s *faulty) UnitState(ctx context.Context, unit string) (UnitState, error) {
	if err := s.ask(OpUnitState, unit); err != nil {
		return UnitState{}, err
	}
	return s.System.UnitState(ctx, unit)
}

func (s *faulty) Do(ctx context.Context, verb, unit string) error {
	if err := s.ask(OpService, verb+" "+unit); err != nil {
		return err
	}
	return s.System.Do(ctx, verb, unit)
}

type faultyTemp struct {
	Temp
	sys  *faulty
	name string
}

func (t *faultyTemp) SetAttr(a Attr) error {
	if err := t.sys.ask(OpAttr, t.name); err != nil {
		return err
	}
	return t.Temp.SetAttr(a)
}

func (t *faultyTemp) Write(content []byte) error {
	if err := t.sys.ask(OpWrite, t.name); err != nil {
		return errors.Join(err, t.Temp.Write(content[:len(content)/2]))
	}
	return t.Temp.Write(content)
}

// Close frees the descriptor in any case, as the end of a process would.
func (t *faultyTemp) Close() error {
	return errors.Join(t.sys.ask(OpClose, t.name), t.Temp.Close())
}
