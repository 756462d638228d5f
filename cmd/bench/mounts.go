package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownMounts is set in the environment once this process has mounts of its own.
const ownMounts = "BENCH_OWN_MOUNTS"

// isolate gives this process a mount namespace of its own, where it can: what
// it mounts there is gone with its last process, however that ends. The
// namespace belongs to the calling thread, so the program starts again from
// that one.
//
// The source needs a file system of its own because the slaves' trees lie
// beside it, where on real hosts they would be elsewhere: a watch of the whole
// file system would see everything three times more.
func isolate() error {
	if os.Geteuid() != 0 || os.Getenv(ownMounts) != "" {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return syscall.Exec(self, os.Args, append(os.Environ(), ownMounts+"=1"))
}

// isolated reports whether isolate took effect.
func isolated() bool { return os.Getenv(ownMounts) != "" }

// mountMemory mounts a tmpfs. unmount may be called while files are open there.
func mountMemory(dir string) (unmount func(), err error) {
	if err := unix.Mount("bench", dir, "tmpfs", 0, "mode=0755,size=80%"); err != nil {
		return nil, fmt.Errorf("mount memory on %s: %w", dir, err)
	}
	return func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }, nil
}
