package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// private judges who may change a file or directory that decides over what.
func private(a about, path, what string) Finding {
	info, err := os.Stat(path)
	if err != nil {
		return a.fail("make it readable for the user that runs the agent", "%v", err)
	}
	mode, uid, gid := info.Mode().Perm(), -1, -1
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		uid, gid = int(st.Uid), int(st.Gid)
	}
	switch {
	case mode&0o002 != 0 && info.Mode()&os.ModeSticky == 0:
		return a.fail("chmod o-w "+path, "mode %04o lets every user change %s", mode, what)
	case uid != 0 && uid != os.Geteuid():
		return a.warn("chown root "+path, "belongs to uid %d, who can thereby change %s", uid, what)
	case mode&0o020 != 0 && gid != 0 && gid != os.Getegid():
		return a.warn("chmod g-w "+path, "mode %04o lets group %d change %s", mode, gid, what)
	}
	return a.ok("mode %04o, owner uid %d", mode, uid)
}

// state judges the directory in which a role keeps what must survive a restart.
func (o Options) state(ctx context.Context, dir, role string) []Finding {
	a := about{"state", dir}
	err := writable(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{a.warn("run \"agent init "+role+"\"", "does not exist yet")}
	case err != nil:
		return []Finding{a.fail(remedyOf(dir, err), "%v", err)}
	}
	return []Finding{private(a, dir, "what the agent remembers"), o.disk(ctx, dir)}
}

// writable reports why this process could not create entries in dir; it does
// not try.
func writable(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "write into", Path: dir, Err: syscall.ENOTDIR}
	}
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "write into", Path: dir, Err: err}
	}
	return nil
}

// remedyOf says what helps against a failed look at path.
func remedyOf(path string, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "create it, or mount what belongs there"
	case errors.Is(err, syscall.ENOTDIR):
		return "name a directory"
	case errors.Is(err, syscall.EROFS):
		return "remount the file system writable, and look into the kernel log why it is not"
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("let the agent's user into %s and every directory above it, or run the agent as root", path)
	}
	return "look at the mount: its server or disk may be gone"
}
