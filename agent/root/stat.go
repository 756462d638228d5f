package root

import "golang.org/x/sys/unix"

// Stat is what lstat(2) says about an entry.
type Stat struct {
	Mode    uint32 // st_mode: type and permission bits
	Size    int64  // bytes
	MtimeNs int64  // nanoseconds since 1970
	CtimeNs int64  // nanoseconds since 1970
	Ino     uint64
	Links   uint64 // names of the inode
}

// Type returns the type bits of Mode, e.g. unix.S_IFREG.
func (s Stat) Type() uint32 { return s.Mode & unix.S_IFMT }

// IsDir reports whether the entry is a directory.
func (s Stat) IsDir() bool { return s.Type() == unix.S_IFDIR }

// IsRegular reports whether the entry is a regular file.
func (s Stat) IsRegular() bool { return s.Type() == unix.S_IFREG }

func statOf(st *unix.Stat_t) Stat {
	return Stat{
		Mode:    st.Mode,
		Size:    st.Size,
		MtimeNs: st.Mtim.Nano(),
		CtimeNs: st.Ctim.Nano(),
		Ino:     st.Ino,
		Links:   uint64(st.Nlink),
	}
}
