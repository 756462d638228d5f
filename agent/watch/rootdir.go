package watch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// inode tells directories apart while both exist. The zero value is none.
type inode struct{ dev, ino uint64 }

// rootDir finds the directories of one tree. It holds nothing open: the kernel
// reports the removal of a directory only when nobody has it open.
type rootDir struct {
	path string // absolute and clean
	id   inode
}

// pin takes the directory that now stands at the path as the root.
func (r *rootDir) pin() error {
	if !strings.HasPrefix(r.path, "/") {
		return fmt.Errorf("watch %q: not an absolute path", r.path)
	}
	f, id, err := r.open(tree.Root)
	if absent(err) {
		return fmt.Errorf("%w: open %s: %w; is it mounted, and no component of it a symlink?", ErrRootLost, r.path, err)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", r.path, err)
	}
	r.id = id
	return f.Close()
}

// lost returns ErrRootLost, wrapped, unless the pinned directory is still there.
func (r rootDir) lost() error {
	if id, err := r.identify(tree.Root); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrRootLost, r.path, err)
	} else if id != r.id {
		return fmt.Errorf("%w: %s is another directory now", ErrRootLost, r.path)
	}
	return nil
}

// abs returns the absolute path of p.
func (r rootDir) abs(p tree.Path) string {
	switch {
	case p == tree.Root:
		return r.path
	case r.path == "/":
		return "/" + string(p)
	}
	return r.path + "/" + string(p)
}

// rel is the inverse of abs; it allocates nothing.
func (r rootDir) rel(abs string) tree.Path {
	return tree.Path(strings.TrimLeft(abs[len(r.path):], "/"))
}

const (
	readDir = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	seeDir  = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
)

// open opens the directory p for reading without following any symlink.
func (r rootDir) open(p tree.Path) (*os.File, inode, error) {
	name := r.abs(p)
	fd, id, err := openNoSymlinks(name, readDir)
	if err != nil {
		return nil, inode{}, err
	}
	return os.NewFile(uintptr(fd), name), id, nil
}

// identify returns which directory p is, without following any symlink.
func (r rootDir) identify(p tree.Path) (inode, error) {
	fd, id, err := openNoSymlinks(r.abs(p), seeDir)
	if err != nil {
		return inode{}, err
	}
	return id, unix.Close(fd)
}

// openNoSymlinks opens the directory at an absolute path. Kernels before 5.6 and
// old container profiles have no openat2; there the components are opened one by one.
func openNoSymlinks(abs string, flags int) (int, inode, error) {
	how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, abs, &how)
	for errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
		fd, err = unix.Openat2(unix.AT_FDCWD, abs, &how)
	}
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		fd, err = openStepwise(abs, flags)
	}
	if err != nil {
		return -1, inode{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, inode{}, errors.Join(err, unix.Close(fd))
	}
	return fd, inode{uint64(st.Dev), st.Ino}, nil
}

// openStepwise opens an absolute path component by component.
func openStepwise(abs string, flags int) (int, error) {
	at, err := unix.Open("/", seeDir, 0)
	if err != nil {
		return -1, err
	}
	for part := range strings.SplitSeq(strings.Trim(abs, "/"), "/") {
		if part == "" {
			continue
		}
		next, err := unix.Openat(at, part, seeDir, 0)
		unix.Close(at)
		if err != nil {
			return -1, err
		}
		at = next
	}
	defer unix.Close(at)
	return unix.Openat(at, ".", flags, 0)
}

// absent reports whether err says that no directory stands at a path.
func absent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// subdirs calls found with the name of each directory in f, symlinks not
// followed, and closes f.
func subdirs(f *os.File, found func(name string)) error {
	defer f.Close()
	for {
		entries, err := f.ReadDir(1024)
		for _, e := range entries {
			if e.IsDir() {
				found(e.Name())
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// below reports whether an absolute clean path lies below the root.
func (r rootDir) below(abs string) bool {
	if r.path == "/" {
		return len(abs) > 1
	}
	return len(abs) > len(r.path) && abs[len(r.path)] == '/' && strings.HasPrefix(abs, r.path)
}
