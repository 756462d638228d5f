package manifest

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// lutimes sets a path's times without following it.
func lutimes(path string, ts syscall.Timespec) error {
	t := unix.Timespec{Sec: ts.Sec, Nsec: ts.Nsec}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}
