package rsync

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// sig is what moves when a file is changed. Rsync sends a file that is
// overwritten behind its read position torn, with exit code 0.
type sig struct {
	mode         uint32
	uid, gid     uint32
	ino          uint64
	size         int64
	mtime, ctime unix.Timespec
}

// guard remembers paths before they are sent.
type guard struct {
	fd   int
	sigs map[tree.Path]sig
}

func newGuard(dir *os.File, n int) *guard {
	return &guard{fd: int(dir.Fd()), sigs: make(map[tree.Path]sig, n)}
}

// remember returns an error when there is nothing at p to send.
func (g *guard) remember(p tree.Path) error {
	s, err := lstatAt(g.fd, p)
	if err == nil {
		g.sigs[p] = s
	}
	return err
}

// moved reports whether p is no longer what it was. Remembered paths only.
func (g *guard) moved(p tree.Path) bool {
	s, err := lstatAt(g.fd, p)
	return err != nil || s != g.sigs[p]
}

func lstatAt(fd int, p tree.Path) (sig, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstatat(fd, string(p), &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return sig{}, err
		}
	}
	s := sig{mode: st.Mode, uid: st.Uid, gid: st.Gid, ino: st.Ino}
	if !s.isDir() {
		// A directory's size and times move with its entries, which are
		// marked themselves and take the times along.
		s.size, s.mtime, s.ctime = st.Size, st.Mtim, st.Ctim
	}
	return s, nil
}

func (s sig) isDir() bool { return s.mode&unix.S_IFMT == unix.S_IFDIR }

// removed reports whether the directory has been deleted meanwhile: it then
// looks empty, and everything listed would be deleted on the slave.
func removed(dir *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(dir.Fd()), &st) != nil || st.Nlink == 0
}
