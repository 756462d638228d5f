package manifest

import (
	"fmt"
	"io/fs"
)

// Type is what an entry is, as the letters of ls.
type Type byte

// The types of entries.
const (
	File    Type = '-'
	Dir     Type = 'd'
	Symlink Type = 'l'
	Fifo    Type = 'p'
	Socket  Type = 's'
	Block   Type = 'b'
	Char    Type = 'c'
	Other   Type = '?'
)

func (t Type) String() string {
	switch t {
	case File:
		return "file"
	case Dir:
		return "directory"
	case Symlink:
		return "symlink"
	case Fifo:
		return "fifo"
	case Socket:
		return "socket"
	case Block:
		return "block device"
	case Char:
		return "character device"
	}
	return "unknown type"
}

// typeOf is the type of a mode as os.Lstat gives it.
func typeOf(m fs.FileMode) Type {
	switch m.Type() {
	case 0:
		return File
	case fs.ModeDir:
		return Dir
	case fs.ModeSymlink:
		return Symlink
	case fs.ModeNamedPipe:
		return Fifo
	case fs.ModeSocket:
		return Socket
	case fs.ModeDevice:
		return Block
	case fs.ModeDevice | fs.ModeCharDevice:
		return Char
	}
	return Other
}

// Entry is one entry of a tree. What does not apply to its type, or was not
// asked for, is zero.
type Entry struct {
	Path    string // relative to the root, bytes as in the file system
	Type    Type
	Mode    uint32 // permission bits with set-id and sticky; 0 for symlinks
	UID     uint32
	GID     uint32
	Size    int64 // bytes, of files
	MtimeNs int64 // since 1970
	Link    string
	Sum     [32]byte // SHA-256 of a file's content
	Rdev    uint64   // of devices
	// LinkedTo is the first path of the same inode inside the tree.
	LinkedTo string
}

// String is one line with what the entry holds.
func (e Entry) String() string {
	s := fmt.Sprintf("%s %04o %d:%d", e.Type, e.Mode, e.UID, e.GID)
	switch e.Type {
	case File:
		s += fmt.Sprintf(" %d bytes %x", e.Size, e.Sum[:4])
	case Symlink:
		s += fmt.Sprintf(" -> %q", e.Link)
	}
	return s
}

// Manifest is a tree's entries, sorted by their paths' bytes.
type Manifest []Entry
