package provision

import (
	"context"
	"errors"
	"io"
	"io/fs"
)

// ErrLocked is returned by a Locker when another process holds the lock.
var ErrLocked = errors.New("lock is held by another process")

// System is everything Converge does to a host. NewSystem is the real one,
// ReadOnly the one of a check run, Faulty breaks at a chosen operation.
type System interface {
	Reader
	Creator
	Changer
	Syncer
	Locker
	Names
	Manager
}

// Stat is what Lstat tells.
type Stat struct {
	Mode     fs.FileMode // type and permission bits
	UID, GID int
	Link     string // target, of a symbolic link
}

// Reader looks and follows no link in the last component.
type Reader interface {
	Lstat(name string) (Stat, error)
	ReadFile(name string) ([]byte, error)
	List(dir string) ([]string, error)
}

// Creator makes what must not exist yet.
type Creator interface {
	// Create makes an empty file of mode 0600.
	Create(name string) (Temp, error)
	// Mkdir makes a directory of mode 0700.
	Mkdir(name string) error
	Symlink(target, name string) error
}

// Temp is a file being written: owner and mode first, then its content.
type Temp interface {
	SetAttr(Attr) error
	Write(content []byte) error
	// Close returns once the content is on disk.
	Close() error
}

// Attr is an owner and a mode; -1 leaves an id as it is.
type Attr struct {
	Mode     fs.FileMode // permission bits, setuid, setgid and sticky
	UID, GID int
}

// Changer changes existing entries and follows no link in the last component.
type Changer interface {
	SetAttr(name string, a Attr) error
	Rename(from, to string) error
	Remove(name string) error
}

// Syncer brings a directory's entries to disk.
type Syncer interface {
	SyncDir(dir string) error
}

// Locker takes an exclusive lock that ends with the process. It fails with
// ErrLocked when another holds it, with fs.ErrNotExist when there is no such
// file and create is false.
type Locker interface {
	Lock(name string, create bool) (io.Closer, error)
}

// Names knows users and groups of the running host.
type Names interface {
	// Self returns the ids new files get; uid 0 may change owners.
	Self() (uid, gid int)
	UserID(name string) (int, error)
	GroupID(name string) (int, error)
}

// Manager is a service manager.
type Manager interface {
	UnitState(ctx context.Context, unit string) (UnitState, error)
	// Do runs one of the verbs daemon-reload (with an empty unit), unmask,
	// enable, start, restart and reload, and returns when it is done.
	Do(ctx context.Context, verb, unit string) error
}

// UnitState is what a service manager knows about a unit.
type UnitState struct{ Active, Enabled, Masked bool }
