// Package root owns the directory a module replicates: what tells it from any
// other directory (Identity), and look-ups below it that can never leave it.
//
// It must not know rsync, targets, filters or the journal, and it decides
// nothing: it says what is there and what is not, the caller draws the
// consequences.
//
// # How to use it
//
// Open a Root for one batch and close it afterwards. An open Root pins its
// mount: umount answers "target is busy" as long as one is held. Opened anew,
// it also sees what was mounted over the directory meanwhile.
//
// Look up first, compare the identity afterwards. Lookup calls an entry
// missing; only an identity taken later proves that it was not the entry's
// whole file system that had just gone. What stands as Missing below a
// Difference must not be deleted anywhere.
//
// # Missing is a strong word
//
// A missing entry becomes a delete on every slave, so only ENOENT from the
// kernel, on a walk from the root's own descriptor, is called Missing. Every
// other failure (no permission, an I/O error, a stale NFS handle, a name too
// long, no descriptors left) is Unreadable and keeps its error. Lookup fails as
// a whole when, at its end, the root's path no longer leads to the directory
// that was looked at.
//
// # Never outside the root
//
// A directory is opened by openat2 with RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and
// RESOLVE_NO_MAGICLINKS, always by its whole path from the root's descriptor:
// never from a directory opened before, since that one may have been moved out
// of the tree meanwhile. Whatever openat2 refuses, and everything on a kernel
// (before 5.6) or below a seccomp filter that does not have it, is walked
// component by component with O_NOFOLLOW; the walk also says which ancestor is
// to blame. Entries are then looked at by name in that directory, which costs one
// system call a path. The tree may change all the while: an answer can be stale by
// the time of one Lookup, and a directory that is moved out of the root during it
// answers as the part of the tree it was when it was opened.
//
// # What identifies a directory
//
// The resolved path, the file system and the inode, of the root and of every mount
// point below it. The device number (st_dev) is given out anew at each boot or
// mount and is of no use. For the file system stand its type, its UUID
// (FS_IOC_GETFSUUID, Linux 6.9) and statfs's f_fsid; what either side does not
// know is not compared, so that a newer kernel is no change. Several file systems
// (xfs, f2fs, vfat, isofs) report their device number as f_fsid: it is left out when
// it is exactly that. btrfs has no UUID to give, its f_fsid names the subvolume too.
//
// A directory that is removed and created again gets the same inode number on ext4
// nearly always. The birth time tells the two apart, and the inode's generation
// (FS_IOC_GETVERSION) does where there is none: ext4 with 128-byte inodes, ext3,
// kernels before statx (4.11). NFS and FUSE mostly have neither: a root re-created under
// the same inode number is not noticed there, nor on a tmpfs before Linux 6.0.
// Where inodes do not survive a mount (FUSE without stable inodes, overlay with
// layers on different file systems and xino=off) the root looks different after each
// mount; a module there needs `root_change: accept`. A tmpfs is another one after
// each mount, which is right: its files are gone.
//
// Of a mount point that is no directory (a file mounted over a file) only the
// file system is compared, since editors replace files for good reasons.
package root
