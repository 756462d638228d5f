package root

import (
	"fmt"
	"slices"

	"syncagent/agent/tree"
)

// FS names a file system in a way that survives a reboot.
type FS struct {
	// Type is the magic number of statfs(2).
	Type int64 `json:"type"`
	// UUID in hexadecimal, "" where unknown.
	UUID string `json:"uuid,omitempty"`
	// ID is statfs's f_fsid in hexadecimal, "" where unknown or unstable.
	ID string `json:"id,omitempty"`
}

// Node tells a directory from every other one that is, was or will be on its file
// system. What is 0 is unknown.
type Node struct {
	Inode      uint64 `json:"inode,omitempty"`
	Birth      int64  `json:"birth,omitempty"`      // nanoseconds since 1970
	Generation uint32 `json:"generation,omitempty"` // of the inode number's use, see doc.go
}

// Mount is a mount point below the root; the topmost one where several are
// stacked.
type Mount struct {
	Path tree.Path
	FS   FS
	Node
	// Problem says why nothing more is known, e.g. of a mount whose server died.
	Problem string
}

// Identity tells a module's root from any other directory. It stands as JSON in
// the journal; paths that are not UTF-8 survive that.
type Identity struct {
	Path string // resolved, absolute
	FS   FS
	Node
	Mounts []Mount // in the order of tree.Compare
}

// Difference says why what lies at Path and below is not what was known.
type Difference struct {
	Path    tree.Path
	Problem string // one line for users, e.g. "nothing is mounted here any more"
}

// Compare returns what of the known identity is missing or different now, in the
// order of tree.Compare. A mount that is there in addition is no difference: see
// Added.
func (known Identity) Compare(now Identity) []Difference {
	var diffs []Difference
	if known.Path != now.Path {
		diffs = append(diffs, Difference{tree.Root, fmt.Sprintf("the root leads to %q, it was %q", now.Path, known.Path)})
	} else if p := problem(known.asMount(), new(now.asMount())); p != "" {
		diffs = append(diffs, Difference{tree.Root, p})
	}
	for _, was := range known.Mounts {
		if p := problem(was, now.mountAt(was.Path)); p != "" {
			diffs = append(diffs, Difference{was.Path, p})
		}
	}
	return diffs
}

// Added returns the mount points of now that were not known.
func (known Identity) Added(now Identity) []Mount {
	var added []Mount
	for _, m := range now.Mounts {
		if known.mountAt(m.Path) == nil {
			added = append(added, m)
		}
	}
	return added
}

func (id Identity) asMount() Mount {
	return Mount{Path: tree.Root, FS: id.FS, Node: id.Node}
}

func (id Identity) mountAt(p tree.Path) *Mount {
	i := slices.IndexFunc(id.Mounts, func(m Mount) bool { return m.Path == p })
	if i < 0 {
		return nil
	}
	return &id.Mounts[i]
}

// problem says in which way now is not what it was, "" if it is.
func problem(was Mount, now *Mount) string {
	switch {
	case now == nil:
		return "nothing is mounted here any more"
	case now.Problem != "":
		return now.Problem
	case was.Problem != "":
		return "" // nothing was known to compare with
	case was.FS.Type != now.FS.Type:
		return fmt.Sprintf("another file system is mounted here (type %#x, it was %#x)", now.FS.Type, was.FS.Type)
	case differ(was.FS.UUID, now.FS.UUID), differ(was.FS.ID, now.FS.ID):
		return fmt.Sprintf("another file system of the same type (%#x) is mounted here", now.FS.Type)
	case differ(was.Inode, now.Inode), differ(was.Birth, now.Birth), differ(was.Generation, now.Generation):
		return "this is another directory of the same name"
	}
	return ""
}

// differ compares what both sides know; the zero value is "unknown".
func differ[T comparable](a, b T) bool {
	var unknown T
	return a != unknown && b != unknown && a != b
}

// SameFilesystem reports whether both are known to lie on one file system. False
// may also mean that nobody knows.
func (known Identity) SameFilesystem(now Identity) bool {
	a, b := known.FS, now.FS
	return a.Type == b.Type && !differ(a.UUID, b.UUID) && !differ(a.ID, b.ID) && (a.UUID != "" && b.UUID != "" || a.ID != "" && b.ID != "")
}
