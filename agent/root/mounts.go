package root

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

// mountTable holds the mount points below a root and the ids of the mounts stacked
// at each.
type mountTable map[tree.Path][]int

// mounts returns the mount points below the root that can be reached.
func (r *Root) mounts() ([]Mount, error) {
	info, err := readMountinfo()
	if err != nil {
		return nil, err
	}
	var mounts []Mount
	for p, ids := range parseMountinfo(info, r.path) {
		m, err := r.mountAt(p, ids)
		switch {
		case errors.Is(err, errNotThere):
			continue
		case err != nil:
			m = Mount{Path: p, Problem: fmt.Sprintf("the mount point cannot be looked at: %v", err)}
		}
		mounts = append(mounts, m)
	}
	slices.SortFunc(mounts, func(a, b Mount) int { return tree.Compare(a.Path, b.Path) })
	return mounts, nil
}

// errNotThere: another mount hides this one, or it has just gone.
var errNotThere = errors.New("no mount of these is at the path")

// mountAt looks at the topmost mount at p, which must be one of ids.
func (r *Root) mountAt(p tree.Path, ids []int) (Mount, error) {
	parent, end := r.openDir(p.Parent())
	if parent < 0 {
		return Mount{}, gone(end.err)
	}
	defer r.closeDir(parent)
	fd, stat, err := openComponent(parent, p.Base())
	if err != nil {
		return Mount{}, gone(err)
	}
	defer unix.Close(fd)
	id, err := mountID(fd)
	if err != nil {
		return Mount{}, err
	}
	if !slices.Contains(ids, id) {
		return Mount{}, errNotThere
	}
	return describe(p, fd, stat)
}

// gone tells a path that leads nowhere from one that cannot be followed.
func gone(err error) error {
	if err == nil || err == unix.ENOENT {
		return errNotThere
	}
	return err
}

func describe(p tree.Path, fd int, stat Stat) (Mount, error) {
	if !stat.IsDir() {
		sys, err := fsOf(fd)
		return Mount{Path: p, FS: sys}, err
	}
	// O_PATH will not do for the file system's UUID; without it, it is unknown
	if readable, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		defer unix.Close(readable)
		fd = readable
	}
	sys, err := fsOf(fd)
	return Mount{Path: p, FS: sys, Node: nodeOf(fd, stat.Ino)}, err
}

// readMountinfo reads until two readings agree: one takes several system calls,
// between which a change of the table can hide an entry.
func readMountinfo() ([]byte, error) {
	const tries = 10
	var last []byte
	for range tries {
		now, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return nil, fmt.Errorf("read the mount points: %w", err)
		}
		if last != nil && bytes.Equal(last, now) {
			return now, nil
		}
		last = now
	}
	return nil, fmt.Errorf("read the mount points: they changed %d times meanwhile; try again", tries)
}

// parseMountinfo returns the mount points strictly below root. The format is that
// of proc_pid_mountinfo(5): the mount's id is field 1, the mount point field 5.
func parseMountinfo(info []byte, root string) mountTable {
	below := strings.TrimSuffix(root, "/") + "/"
	table := mountTable{}
	for line := range bytes.Lines(info) {
		fields := strings.SplitN(string(line), " ", 6)
		if len(fields) < 6 {
			continue
		}
		rest, ok := strings.CutPrefix(unescape(fields[4]), below)
		if !ok || rest == "" {
			continue
		}
		p, err := tree.ParsePath(rest)
		id, idErr := strconv.Atoi(fields[0])
		if err != nil || idErr != nil {
			continue // "//deleted": a mount point that nothing leads to any more
		}
		table[p] = append(table[p], id)
	}
	return table
}

// unescape undoes the \ooo that mountinfo writes for space, tab, newline, '#' and
// the backslash itself.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// mountID returns the id, in the numbers of mountinfo, of the mount that an open
// file lies on.
func mountID(fd int) (int, error) {
	name := "/proc/self/fdinfo/" + strconv.Itoa(fd)
	info, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("read the mount of a file: %w", err)
	}
	for line := range strings.Lines(string(info)) {
		if rest, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			return strconv.Atoi(strings.TrimSpace(rest))
		}
	}
	return 0, fmt.Errorf("read the mount of a file: %s holds no mnt_id", name)
}

// bareEntry is what a file system holds that was just made.
const bareEntry = "lost+found"

// Bare reports whether p is a directory with nothing in it, as that of a file system
// which was just made.
func (r *Root) Bare(p tree.Path) (bool, error) {
	dir, end := r.openDir(p)
	if dir < 0 {
		return false, end.err
	}
	defer r.closeDir(dir)
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, fmt.Errorf("open %q to list it: %w", p, err)
	}
	f := os.NewFile(uintptr(fd), string(p))
	defer f.Close()
	names, err := f.Readdirnames(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("list %q: %w", p, err)
	}
	return len(names) == 0 || len(names) == 1 && names[0] == bareEntry, nil
}
