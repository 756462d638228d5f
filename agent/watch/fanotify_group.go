package watch

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// fanMask is what is asked for: every change of a name, of attributes and of
// content, and that a file was closed after it was open for writing.
const fanMask = unix.FAN_CREATE | unix.FAN_DELETE | unix.FAN_ATTRIB | unix.FAN_MODIFY | unix.FAN_CLOSE_WRITE | unix.FAN_ONDIR

// fanMoves is what kernels before 5.17 report in place of FAN_RENAME.
const fanMoves = unix.FAN_MOVED_FROM | unix.FAN_MOVED_TO

// newFanGroup sets up a fanotify group. Its queue is bounded by
// fs.fanotify.max_queued_events: an unbounded one would take all memory when we
// cannot follow, while after an overflow one look at the tree tells as much.
func newFanGroup() (int, error) {
	const flags = unix.FAN_CLASS_NOTIF | unix.FAN_CLOEXEC | unix.FAN_NONBLOCK | unix.FAN_REPORT_DFID_NAME
	fd, err := unix.FanotifyInit(flags, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("set up fanotify: %w%s", err, fanRemedy(err))
	}
	return fd, nil
}

// markFilesystem has the group report the whole file system that the directory
// dir stands on. To mark it again changes nothing.
func markFilesystem(group, dir int) error {
	err := markThrough(group, dir)
	if errors.Is(err, unix.EXDEV) {
		if top, e := btrfsTop(dir); e == nil {
			err = markThrough(group, top)
			unix.Close(top)
		}
	}
	if err != nil {
		return fmt.Errorf("watch the file system: %w%s", err, fanRemedy(err))
	}
	return nil
}

func markThrough(group, dir int) error {
	const how = unix.FAN_MARK_ADD | unix.FAN_MARK_FILESYSTEM
	err := unix.FanotifyMark(group, how, fanMask|unix.FAN_RENAME, dir, "")
	if errors.Is(err, unix.EINVAL) {
		err = unix.FanotifyMark(group, how, fanMask|fanMoves, dir, "")
	}
	return err
}

// btrfsTop opens the top directory of the btrfs that dir stands on. Each subvolume
// calls itself a file system, and only the topmost may be marked, which need not
// be mounted anywhere. Its directory has a known handle: struct btrfs_fid, with the
// inode BTRFS_FIRST_FREE_OBJECTID of the tree BTRFS_FS_TREE_OBJECTID, of any
// generation.
func btrfsTop(dir int) (int, error) {
	const withoutParent, firstInode, fsTree = 0x4d, 256, 5
	ne := binary.NativeEndian
	fid := ne.AppendUint32(ne.AppendUint64(ne.AppendUint64(nil, firstInode), fsTree), 0)
	return unix.OpenByHandleAt(dir, unix.NewFileHandle(withoutParent, fid), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
}

// fanRemedy says what to do about an error of fanotify, see fanotify_init(2) and
// fanotify_mark(2).
func fanRemedy(err error) string {
	switch {
	case errors.Is(err, unix.EPERM):
		return "; it takes the capabilities CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH, so run the agent as root"
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return "; it takes Linux 5.9 or later"
	case errors.Is(err, unix.EMFILE):
		return "; raise fs.fanotify.max_user_groups or the limit of open files"
	case errors.Is(err, unix.ENOSPC):
		return "; raise fs.fanotify.max_user_marks"
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EXDEV):
		return "; this type of file system cannot name its directories by handles"
	}
	return ""
}
