package doctor

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// Space is what statfs(2) tells about a file system.
type Space struct {
	Type       int64 // magic number
	ReadOnly   bool
	Total      uint64 // bytes, without what is kept for root
	Free       uint64 // bytes that are left for everybody
	Inodes     uint64 // 0 where the file system has no fixed number
	InodesFree uint64
}

// Space implements System.
func (localSystem) Space(path string) (Space, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(path, &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Space{}, fmt.Errorf("ask for the free space of %s: %w", path, err)
		}
		break
	}
	unit := uint64(st.Frsize)
	if unit == 0 {
		unit = uint64(st.Bsize)
	}
	return Space{
		Type: int64(st.Type), ReadOnly: st.Flags&unix.ST_RDONLY != 0,
		Total: (st.Blocks - st.Bfree + st.Bavail) * unit, Free: st.Bavail * unit,
		Inodes: st.Files, InodesFree: st.Ffree,
	}, nil
}

// fileSystem is what matters here about a kind of file system.
type fileSystem struct {
	name string
	// remote: others may write to it without this kernel knowing.
	remote bool
	// poor: it keeps no owners, modes or links.
	poor bool
}

// fileSystems are the magic numbers of statfs(2): linux/magic.h, and where there
// is no constant, the file system's own sources.
var fileSystems = map[uint32]fileSystem{
	unix.NFS_SUPER_MAGIC:   {name: "nfs", remote: true},
	unix.SMB_SUPER_MAGIC:   {name: "cifs", remote: true},
	unix.SMB2_SUPER_MAGIC:  {name: "cifs", remote: true},
	unix.CIFS_SUPER_MAGIC:  {name: "cifs", remote: true},
	unix.FUSE_SUPER_MAGIC:  {name: "fuse", remote: true},
	unix.CEPH_SUPER_MAGIC:  {name: "ceph", remote: true},
	unix.AFS_SUPER_MAGIC:   {name: "afs", remote: true},
	unix.AFS_FS_MAGIC:      {name: "afs", remote: true},
	unix.V9FS_MAGIC:        {name: "9p", remote: true},
	unix.OCFS2_SUPER_MAGIC: {name: "ocfs2", remote: true},
	0x01161970:             {name: "gfs2", remote: true},
	0x0BD00BD0:             {name: "lustre", remote: true},
	0x47504653:             {name: "gpfs", remote: true},
	0x786F4256:             {name: "vboxsf", remote: true},

	unix.MSDOS_SUPER_MAGIC: {name: "vfat", poor: true},
	unix.EXFAT_SUPER_MAGIC: {name: "exfat", poor: true},
	0x5346544E:             {name: "ntfs", poor: true},
	0x7366746E:             {name: "ntfs", poor: true},

	unix.EXT4_SUPER_MAGIC:      {name: "ext4"},
	unix.XFS_SUPER_MAGIC:       {name: "xfs"},
	unix.BTRFS_SUPER_MAGIC:     {name: "btrfs"},
	unix.F2FS_SUPER_MAGIC:      {name: "f2fs"},
	unix.TMPFS_MAGIC:           {name: "tmpfs"},
	unix.OVERLAYFS_SUPER_MAGIC: {name: "overlay"},
	0x2FC12FC1:                 {name: "zfs"},
}

// kindOf names a file system by its magic number.
func kindOf(magic int64) fileSystem {
	if kind, known := fileSystems[uint32(magic)]; known {
		return kind
	}
	return fileSystem{name: fmt.Sprintf("file system 0x%x", uint32(magic))}
}

// Free space below these shares of the whole is worth a word.
const (
	lowPercent   = 10
	emptyPercent = 1
)

// disk judges what is left of the file system that holds path.
func (o Options) disk(ctx context.Context, path string) Finding {
	a := about{"disk", path}
	s, err := within(ctx, o.Patience, func() (Space, error) { return o.System.Space(path) })
	if err != nil {
		return a.fail("look at the mount: its server or disk may be gone", "%v", err)
	}
	text := fmt.Sprintf("%s free of %s", size(s.Free), size(s.Total))
	least := share(s.Free, s.Total)
	if s.Inodes > 0 {
		text += fmt.Sprintf(", %d of %d inodes", s.InodesFree, s.Inodes)
		least = min(least, share(s.InodesFree, s.Inodes))
	}
	text += " (" + kindOf(s.Type).name + ")"
	switch {
	case s.Total == 0: // a file system that does not count
		return a.ok("%s", text)
	case least < emptyPercent:
		return a.fail("free space or inodes there: writes are about to fail", "%s", text)
	case least < lowPercent:
		return a.warn("free space or inodes there before it is full", "%s", text)
	}
	return a.ok("%s", text)
}

// share is part in percent of whole.
func share(part, whole uint64) float64 {
	if whole == 0 {
		return 100
	}
	return float64(part) * 100 / float64(whole)
}

// size writes bytes for people.
func size(n uint64) string {
	value, unit := float64(n), 0
	for ; value >= 1024 && unit < 5; unit++ {
		value /= 1024
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[unit-1])
}
