package watch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// volume is a file system that reports its events, and where it stands in the
// tree. Each has a group of its own: then it does not matter by what number an
// event names its file system, which copies of one and subvolumes make ambiguous.
// No rename leaves a file system, so events of two need no order.
type volume struct {
	group int // -1 when it is closed
	spots []*spot
	cache pathCache
	gone  map[string]bool // handles of directories that are no more
}

// spot is a mount of a volume. A directory can be seen through several, under
// another path each.
type spot struct {
	path tree.Path // where it begins in the tree: the root, or a mount below it
	// fd is the directory at path while events are being translated, else -1. It
	// must not stay open, or nobody could unmount.
	fd int
}

func (v *volume) close() {
	v.letGo()
	unix.Close(v.group)
	v.group = -1
}

// letGo closes the directories.
func (v *volume) letGo() {
	for _, s := range v.spots {
		s.leave()
	}
}

func (s *spot) leave() {
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
}

// find returns where in the tree a directory stands; nowhere if it is not in the
// tree, excluded, or gone.
func (b *fanotifyBackend) find(v *volume, handle []byte) ([]tree.Path, error) {
	if len(handle) == 0 {
		return nil, nil
	}
	if paths, ok := v.cache.get(handle); ok {
		return paths, nil
	}
	var paths []tree.Path
	gone := true
	for _, s := range v.spots {
		abs, err := b.locate(s, handle)
		if err != nil {
			return nil, unclear(err)
		}
		gone = gone && abs == ""
		if p, ok := b.inTree(abs); ok && !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	v.cache.put(handle, paths)
	if gone {
		v.noteGone(handle)
	}
	return paths, nil
}

// maxGone bounds the handles that are known to be of directories that are gone.
const maxGone = 4096

func (v *volume) noteGone(handle []byte) {
	if v.gone == nil || len(v.gone) >= maxGone {
		v.gone = map[string]bool{}
	}
	v.gone[string(handle)] = true
}

// errUnclear: it is not known where something happened.
var errUnclear = errors.New("an event cannot be followed")

func unclear(err error) error {
	if errors.Is(err, ErrRootLost) {
		return err
	}
	return fmt.Errorf("%w: %w", errUnclear, err)
}

// inTree returns the path of what stands at abs, unless it is outside of the root
// or excluded.
func (b *fanotifyBackend) inTree(abs string) (tree.Path, bool) {
	if abs != b.dir.path && !b.dir.below(abs) {
		return tree.Root, false
	}
	p := b.dir.rel(abs)
	return p, !excludedAt(b.excludes, p)
}

// locate returns the absolute path of a directory as it is seen through s, "" when
// it is gone or not to be seen.
func (b *fanotifyBackend) locate(s *spot, handle []byte) (string, error) {
	if err := b.enter(s); err != nil {
		if absent(err) && s.path != tree.Root {
			return "", nil // unmounted: this is reported otherwise
		}
		return "", err
	}
	fd, err := openHandle(s.fd, handle)
	if errors.Is(err, unix.ESTALE) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find a directory by its handle: %w", err)
	}
	defer unix.Close(fd)
	abs, err := b.nameOf(fd)
	if err != nil {
		return "", err
	}
	// Asked after the name, which of a deleted directory would be another one.
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", fmt.Errorf("find a directory by its handle: %w", err)
	}
	// What is not below this mount the kernel calls "/".
	if st.Nlink == 0 || abs == "/" && (inode{uint64(st.Dev), st.Ino}) != b.dir.id {
		return "", nil
	}
	return abs, nil
}

// handleTries is how often a handle is opened while the kernel says that it has no
// memory, which ext4 also says of a directory that is being removed that moment.
// Each wait is twice the one before, 80 ms in all.
const handleTries = 13

func openHandle(mount int, handle []byte) (fd int, err error) {
	h := unix.NewFileHandle(int32(binary.NativeEndian.Uint32(handle)), handle[4:])
	for try := range handleTries {
		fd, err = unix.OpenByHandleAt(mount, h, unix.O_PATH|unix.O_CLOEXEC)
		if !errors.Is(err, unix.ENOMEM) && !errors.Is(err, unix.EINTR) {
			break
		}
		time.Sleep(10 * time.Microsecond << try)
	}
	return fd, err
}

// enter opens the directory of s, unless it is open. Another directory in the
// place of the root is an error.
func (b *fanotifyBackend) enter(s *spot) error {
	if s.fd >= 0 {
		return nil
	}
	fd, id, err := openNoSymlinks(b.dir.abs(s.path), readDir)
	if s.path == tree.Root && (absent(err) || err == nil && id != b.dir.id) {
		if err == nil {
			unix.Close(fd)
		}
		return fmt.Errorf("%w: %s is gone or another directory now", ErrRootLost, b.dir.path)
	}
	if err != nil {
		return err
	}
	s.fd = fd
	return nil
}

// nameOf returns the path under which a descriptor is known to the kernel.
func (b *fanotifyBackend) nameOf(fd int) (string, error) {
	b.link = strconv.AppendInt(append(b.link[:0], "/proc/self/fd/"...), int64(fd), 10)
	n, err := unix.Readlink(string(b.link), b.name[:])
	if err != nil {
		return "", fmt.Errorf("read %s: %w", b.link, err)
	}
	return string(b.name[:n]), nil
}

// holdsRoot reports whether the root stood at the named entry or below it. Few
// names come into question, so that the rest costs nothing.
func (b *fanotifyBackend) holdsRoot(v *volume, n fanName) (bool, error) {
	if len(n.dir) == 0 || !slices.Contains(b.above, string(n.name)) {
		return false, nil
	}
	for _, s := range v.spots {
		abs, err := b.locate(s, n.dir)
		if err != nil {
			return false, unclear(err)
		}
		at := rootDir{path: strings.TrimSuffix(abs, "/") + "/" + string(n.name)}
		if abs != "" && (at.path == b.dir.path || at.below(b.dir.path)) {
			return true, nil
		}
	}
	return false, nil
}
