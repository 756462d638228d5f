package rsync

import (
	"fmt"
	"slices"
	"strings"
)

// Class says what kind of failure it was, which is what the caller acts on.
type Class uint8

const (
	// Transient: it may work when tried again soon.
	Transient Class = iota + 1
	// Partial: the slave works, single paths failed.
	Partial
	// Auth: the slave does not take our user and password.
	Auth
	// Refused: the slave answers but its module cannot be used: unknown, our
	// address denied, or its directory, uid or gid wrong. With "list = no" an
	// unknown module and a denied address look alike.
	Refused
	// ReadOnly: the module or its file system cannot be written.
	ReadOnly
	// DiskFull: no blocks, inodes or quota left on the slave.
	DiskFull
	// Incompatible: the peer is no rsync daemon, or one that cannot do, or
	// refuses, what we need; or rsync is missing here.
	Incompatible
	// Usage: our own arguments are wrong, or the path can never be sent.
	Usage
	// SourceGone: the source directory is not there.
	SourceGone
)

var classNames = [...]string{
	Transient: "transient", Partial: "partial", Auth: "auth", Refused: "refused", ReadOnly: "read_only",
	DiskFull: "disk_full", Incompatible: "incompatible", Usage: "usage", SourceGone: "source_gone",
}

// String returns the name that status shows, "" for the zero value.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// ParseClass undoes String; what is no class's name is Partial.
func ParseClass(name string) Class {
	if i := slices.Index(classNames[:], name); i > 0 {
		return Class(i)
	}
	return Partial
}

// Blocked reports whether somebody has to change something before it can
// work; such a target is tried again, but slowly.
func (c Class) Blocked() bool { return c > Partial && int(c) < len(classNames) }

// maxText bounds Error.Text in bytes.
const maxText = 2048

// Error is why a run, or a part of it, failed.
type Error struct {
	Class Class
	Code  int    // rsync's exit code, -1 when it did not exit by itself
	Text  string // rsync's own last lines: bounded, one line, printable
	Hint  string // what to do next
	Err   error  // underlying error, if any
}

// Error returns one line, ending in the hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("rsync: ")
	switch {
	case e.Text != "":
		b.WriteString(e.Text)
	case e.Err != nil:
		b.WriteString(e.Err.Error())
	default:
		fmt.Fprintf(&b, "%s, exit code %d", e.Class, e.Code)
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
