package root

import (
	"encoding/hex"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Identity returns what tells the root from any other directory, as it is now. It
// reads every mount point below the root, so a dead network file system there can
// hold it up.
func (r *Root) Identity() (Identity, error) {
	var st unix.Stat_t
	if err := unix.Fstat(r.fd, &st); err != nil {
		return Identity{}, fmt.Errorf("identify %q: %w", r.path, err)
	}
	sys, err := fsOf(r.fd)
	if err != nil {
		return Identity{}, fmt.Errorf("identify %q: %w", r.path, err)
	}
	mounts, err := r.mounts()
	if err != nil {
		return Identity{}, fmt.Errorf("identify %q: %w", r.path, err)
	}
	if err := r.check(); err != nil {
		return Identity{}, fmt.Errorf("identify %q: %w", r.path, err)
	}
	return Identity{Path: r.path, FS: sys, Node: nodeOf(r.fd, st.Ino), Mounts: mounts}, nil
}

// fsOf names the file system that fd lies on.
func fsOf(fd int) (FS, error) {
	var sfs unix.Statfs_t
	if _, err := retry(func() (int, error) { return 0, unix.Fstatfs(fd, &sfs) }); err != nil {
		return FS{}, fmt.Errorf("read the file system's id: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return FS{}, fmt.Errorf("read the file system's id: %w", err)
	}
	id := uint64(uint32(sfs.Fsid.Val[1]))<<32 | uint64(uint32(sfs.Fsid.Val[0]))
	return FS{Type: int64(sfs.Type), UUID: fsUUID(fd), ID: stableID(id, uint64(st.Dev))}, nil
}

// stableID returns f_fsid as text, "" when it says nothing or is the device number
// that the file system happens to have today.
func stableID(id, dev uint64) string {
	if id == 0 || id == dev {
		return ""
	}
	return fmt.Sprintf("%016x", id)
}

// fsUUID returns "" where the kernel or the file system does not tell.
func fsUUID(fd int) string {
	// _IOR(0x15, 0, struct fsuuid2) and the struct itself, of linux/fs.h
	const getUUID = 2<<30 | 17<<16 | 0x15<<8
	var out struct {
		len  uint8
		uuid [16]byte
	}
	if !ioctl(fd, getUUID, unsafe.Pointer(&out)) || int(out.len) > len(out.uuid) || out.uuid == [16]byte{} {
		return ""
	}
	return hex.EncodeToString(out.uuid[:out.len])
}

// nodeOf tells the uses of one inode number apart, as far as the file system can.
func nodeOf(fd int, number uint64) Node {
	// _IOR('v', 1, long), of linux/fs.h: most file systems write an int, FUSE a long
	const getVersion = 2<<30 | 8<<16 | 'v'<<8 | 1
	node := Node{Inode: number}
	var version [2]uint32
	if ioctl(fd, getVersion, unsafe.Pointer(&version)) {
		node.Generation = version[0]
	}
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &st)
	if err == nil && st.Mask&unix.STATX_BTIME != 0 {
		node.Birth = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return node
}

// ioctl reports whether the file system behind fd answered.
func ioctl(fd int, request uintptr, out unsafe.Pointer) bool {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(out))
	return errno == 0
}
