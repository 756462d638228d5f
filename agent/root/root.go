package root

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// ErrChanged is wrapped by Lookup when the root's path no longer leads to the
// directory that was opened: nothing that was seen there may be acted upon.
var ErrChanged = errors.New("the root is no longer the directory that was opened")

// Root is an open module root. Its methods may be called from several
// goroutines; none may run when Close is called.
type Root struct {
	path    string
	dir     *os.File
	fd      int  // of dir
	openat2 bool // false: walk component by component
}

// Open opens the directory at path, following symlinks: Path then says where it
// really is. Errors wrap those of the kernel, e.g. fs.ErrNotExist.
func Open(path string) (*Root, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("open module root %q: %w", path, err)
	}
	r := &Root{dir: os.NewFile(uintptr(fd), path), fd: fd}
	if r.path, err = os.Readlink(procFD(fd)); err == nil {
		err = r.check()
	}
	if err != nil {
		r.dir.Close()
		return nil, fmt.Errorf("resolve module root %q: %w", path, err)
	}
	r.openat2 = hasOpenat2(fd)
	return r, nil
}

// Close releases the root and with it the mount it lies on.
func (r *Root) Close() error { return r.dir.Close() }

// Path returns the absolute path of the root, all symlinks resolved.
func (r *Root) Path() string { return r.path }

// Dir returns the open root directory, readable and close-on-exec. A child that is
// given it as its working directory, /proc/self/fd/N, works in this very
// directory, whatever its path leads to by then. Close closes it.
func (r *Root) Dir() *os.File { return r.dir }

// Names returns the names of the entries of the root directory, sorted.
func (r *Root) Names() ([]string, error) {
	names, err := r.list(-1)
	slices.Sort(names)
	return names, err
}

// Empty reports whether the root directory has no entries.
func (r *Root) Empty() (bool, error) {
	names, err := r.list(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return len(names) == 0, err
}

// list returns up to n names, all if n is -1. The directory is opened anew, since
// the position in it belongs to the descriptor.
func (r *Root) list(n int) ([]string, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(r.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("open %q to list it: %w", r.path, err)
	}
	dir := os.NewFile(uintptr(fd), r.path)
	defer dir.Close()
	names, err := dir.Readdirnames(n)
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", r.path, err)
	}
	return names, nil
}

// Stat returns what is at p; a symlink is never followed. The error is
// fs.ErrNotExist when p or an ancestor is missing, ENOTDIR when an ancestor is
// no directory.
func (r *Root) Stat(p tree.Path) (Stat, error) {
	if _, err := tree.ParsePath(string(p)); err != nil {
		return Stat{}, err
	}
	end := r.walk(p)
	if end.err == nil && end.path != p {
		end.err = unix.ENOTDIR
	}
	if end.err != nil {
		return Stat{}, &fs.PathError{Op: "look up", Path: string(p), Err: end.err}
	}
	return end.stat, nil
}

// check fails unless the root's path still leads to the opened directory.
func (r *Root) check() error {
	var opened, now unix.Stat_t
	if err := unix.Fstat(r.fd, &opened); err != nil {
		return err
	}
	_, err := retry(func() (int, error) { return 0, unix.Lstat(r.path, &now) })
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if err != nil {
		return fmt.Errorf("look at the root itself: %w", err)
	}
	if opened.Dev != now.Dev || opened.Ino != now.Ino {
		return fmt.Errorf("%w: %q is another one now", ErrChanged, r.path)
	}
	return nil
}

func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// retry repeats a system call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
