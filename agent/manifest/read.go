package manifest

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Options says what Read reads. The zero Options read names, types, modes,
// sizes, times and link targets.
type Options struct {
	Content   bool // read every file
	Owners    bool // user and group ids
	HardLinks bool // which entries are one inode
	// Vanishing leaves out what goes away or changes its type while it is
	// read; without it that is an error.
	Vanishing bool
	// Exclude leaves out an entry, and what lies below a directory. The path is
	// relative to the root.
	Exclude func(path string, dir bool) bool
}

// Everything asks for all that replication keeps.
func Everything() Options {
	return Options{Content: true, Owners: true}
}

// Read reads the tree below root, which itself is not an entry. Symlinks are
// never followed, but root may be one.
func Read(root string, opt Options) (Manifest, error) {
	r := reader{root: root, opt: opt, inodes: map[string]inode{}}
	if err := r.dir(""); err != nil {
		return nil, fmt.Errorf("read manifest of %s: %w", root, err)
	}
	slices.SortFunc(r.entries, func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) })
	r.linkGroups()
	return r.entries, nil
}

type inode struct{ dev, ino uint64 }

type reader struct {
	root    string
	opt     Options
	entries Manifest
	inodes  map[string]inode // of paths whose inode has several names
}

func (r *reader) dir(rel string) error {
	list, err := os.ReadDir(filepath.Join(r.root, rel))
	if err != nil {
		return r.gone(err, rel == "")
	}
	for _, d := range list {
		path := d.Name()
		if rel != "" {
			path = rel + "/" + path
		}
		if r.opt.Exclude != nil && r.opt.Exclude(path, d.IsDir()) {
			continue
		}
		if err := r.entry(path); err != nil {
			return err
		}
	}
	return nil
}

// gone forgives an entry, never the root, that went away or changed its type.
func (r *reader) gone(err error, root bool) error {
	if r.opt.Vanishing && !root &&
		(errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) ||
			errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENXIO) || errors.Is(err, errChanged)) {
		return nil
	}
	return err
}

func (r *reader) entry(path string) error {
	full := filepath.Join(r.root, path)
	info, err := os.Lstat(full)
	if err != nil {
		return r.gone(err, false)
	}
	e, err := r.read(path, full, info)
	if err != nil {
		return r.gone(err, false)
	}
	r.entries = append(r.entries, e)
	if e.Type == Dir {
		return r.dir(path)
	}
	return nil
}

func (r *reader) read(path, full string, info fs.FileInfo) (Entry, error) {
	st := info.Sys().(*syscall.Stat_t)
	e := Entry{Path: path, Type: typeOf(info.Mode()), MtimeNs: info.ModTime().UnixNano(), Mode: st.Mode & 0o7777}
	if r.opt.Owners {
		e.UID, e.GID = st.Uid, st.Gid
	}
	if r.opt.HardLinks && st.Nlink > 1 && e.Type != Dir {
		r.inodes[path] = inode{uint64(st.Dev), st.Ino}
	}
	var err error
	switch e.Type {
	case File:
		e.Size = info.Size()
		if r.opt.Content {
			e.Sum, err = sum(full)
		}
	case Symlink:
		e.Mode = 0 // Linux has no modes of symlinks
		e.Link, err = os.Readlink(full)
	case Block, Char:
		e.Rdev = uint64(st.Rdev)
	}
	return e, err
}

// linkGroups names the first of the sorted entries that are one inode. Names
// outside the tree do not count.
func (r *reader) linkGroups() {
	first, names := map[inode]string{}, map[inode]int{}
	for _, e := range r.entries {
		if id, ok := r.inodes[e.Path]; ok {
			first[id] = min(e.Path, cmp.Or(first[id], e.Path))
			names[id]++
		}
	}
	for i, e := range r.entries {
		if id, ok := r.inodes[e.Path]; ok && names[id] > 1 {
			r.entries[i].LinkedTo = first[id]
		}
	}
}

var errChanged = errors.New("is no regular file any more")

// sum does not follow a symlink, nor wait for the writer of a fifo, that took
// the file's place meanwhile.
func sum(full string) (digest [32]byte, err error) {
	f, err := os.OpenFile(full, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return digest, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return digest, err
	}
	if !info.Mode().IsRegular() {
		return digest, fmt.Errorf("%s %w", full, errChanged)
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return digest, err
	}
	h.Sum(digest[:0])
	return digest, nil
}
