package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// ErrLocked: another process has the Store's directory open. The error is a
// *LockedError.
var ErrLocked = errors.New("the state is in use by another process")

// LockedError says who holds the Store.
type LockedError struct {
	Dir string
	PID int // 0: unknown
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%v: stop the agent that uses %q first", ErrLocked, e.Dir)
	}
	return fmt.Sprintf("%v: stop process %d, which uses %q, first", ErrLocked, e.PID, e.Dir)
}

// Unwrap makes errors.Is(err, ErrLocked) true.
func (e *LockedError) Unwrap() error { return ErrLocked }

// Store is a directory of records that this process alone may write. Its methods may
// be called from several goroutines; of two Saves of one record at the same time either
// wins, as a whole.
type Store struct {
	dir    string
	serial atomic.Uint64 // makes temporary names unique

	mu   sync.RWMutex // write-locked by Close
	lock *os.File     // nil once closed

	// before is asked before each step of a change on disk; an error stands for
	// that step's failure. It lets tests fail or crash at any of them.
	before func(op step) error
}

// step names what is done to the disk.
type step string

const (
	stepCreate  step = "create"
	stepWrite   step = "write"
	stepSync    step = "sync"
	stepClose   step = "close"
	stepRename  step = "rename"
	stepSyncDir step = "sync directory"
	stepDone    step = "done"
)

// Open opens the directory, creates it with mode 0700 if it is missing, and locks it until
// Close. It fails with a *LockedError when another process, or another Store of this
// one, has it.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create state directory: %w", err)
	}
	lock, err := acquire(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, lock: lock, before: func(step) error { return nil }}
	if err := s.removeLeftovers(); err != nil {
		lock.Close()
		return nil, err
	}
	return s, nil
}

// Close gives the lock back, after the Saves that are under way. What is called after it
// fails with fs.ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil
	}
	err := s.lock.Close()
	s.lock = nil
	return err
}

// acquire locks dir/lock. The file is never removed: a process that still waits
// for the removed one would then hold a lock of its own.
func acquire(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock of state directory: %w", err)
	}
	err = flock(file)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = &LockedError{Dir: dir, PID: readPID(file)}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock state directory %q: %w", dir, err)
	}
	// only for the message of the next one: no reason to fail
	if file.Truncate(0) == nil {
		fmt.Fprintln(file, os.Getpid())
	}
	return file, nil
}

func flock(file *os.File) error {
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EINTR {
			return err
		}
	}
}

func readPID(file *os.File) int {
	text, err := io.ReadAll(io.LimitReader(file, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

// removeLeftovers removes what a crash left; under the lock nobody else writes.
func (s *Store) removeLeftovers() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("read state directory: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), tmpSuffix) {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove leftover of a crash: %w", err)
		}
	}
	return nil
}

// hold keeps the Store from being closed until release is called.
func (s *Store) hold() (release func(), err error) {
	s.mu.RLock()
	if s.lock == nil {
		s.mu.RUnlock()
		return nil, fmt.Errorf("use journal %q: %w", s.dir, fs.ErrClosed)
	}
	return s.mu.RUnlock, nil
}
