package root

import (
	"strings"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// step is where a walk from the root ended: at the path asked for, or at the
// ancestor that ended it.
type step struct {
	path tree.Path
	stat Stat  // if err is nil
	err  error // of the kernel, e.g. ENOENT
}

// walk looks at p: every directory above it is opened from the root's
// descriptor, no symlink is followed.
func (r *Root) walk(p tree.Path) step {
	dir, end := r.openDir(p.Parent())
	if dir < 0 {
		return end
	}
	defer r.closeDir(dir)
	return statAt(dir, p)
}

// openDir opens the directory p. If it cannot, it returns -1 and the entry to
// blame: a non-directory or an error.
func (r *Root) openDir(p tree.Path) (int, step) {
	if p == tree.Root {
		return r.fd, step{}
	}
	if r.openat2 {
		if fd, err := openBeneath(r.fd, string(p)); err == nil {
			return fd, step{}
		}
	}
	return r.openDirByComponent(p)
}

func (r *Root) openDirByComponent(p tree.Path) (int, step) {
	dir, at := r.fd, tree.Root
	for name := range strings.SplitSeq(string(p), "/") {
		at = at.Join(name)
		next, stat, err := openComponent(dir, name)
		r.closeDir(dir)
		if err != nil {
			return -1, step{path: at, err: err}
		}
		if !stat.IsDir() {
			r.closeDir(next)
			return -1, step{path: at, stat: stat}
		}
		dir = next
	}
	return dir, step{}
}

// closeDir closes what openDir opened, which for the root is nothing.
func (r *Root) closeDir(fd int) {
	if fd != r.fd {
		unix.Close(fd)
	}
}

// openComponent opens the entry called name, whatever it is, and says what it is
// from that very descriptor.
func openComponent(dir int, name string) (int, Stat, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return -1, Stat{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, Stat{}, err
	}
	return fd, statOf(&st), nil
}

// statAt looks at p, whose parent is open as dir.
func statAt(dir int, p tree.Path) step {
	var st unix.Stat_t
	_, err := retry(func() (int, error) {
		if p == tree.Root {
			return 0, unix.Fstat(dir, &st)
		}
		return 0, unix.Fstatat(dir, p.Base(), &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		return step{path: p, err: err}
	}
	return step{path: p, stat: statOf(&st)}
}

func openBeneath(root int, path string) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	return retry(func() (int, error) { return unix.Openat2(root, path, &how) })
}

func hasOpenat2(dir int) bool {
	fd, err := openBeneath(dir, ".")
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}
