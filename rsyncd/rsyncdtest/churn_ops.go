package rsyncdtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

var (
	errNothing = errors.New("nothing there to take")
	errFull    = errors.New("skipped, the tree is full")
	errDeep    = errors.New("skipped, too deep")
)

func (c *Churn) allOps() []op {
	return []op{
		{"create", 14, c.create},
		{"write", 8, c.write},
		{"append", 6, c.append},
		{"rewrite", 8, c.rewrite},
		{"truncate", 2, c.truncate},
		{"save", 5, c.save},
		{"rename", 8, c.rename},
		{"rename-in", 4, c.renameIn},
		{"rename-out", 3, c.renameOut},
		{"remove", 5, c.remove},
		{"remove-all", 3, c.removeAll},
		{"chmod", 4, c.chmod},
		{"chown", 3, c.chown},
		{"symlink", 5, c.symlink},
		{"swap-dir-for-link", 3, c.swapDirForLink},
		{"hardlink", 2, c.hardlink},
		{"retype", 4, c.retype},
		{"mkdir-p", 6, c.mkdirAll},
		{"fifo", 1, c.fifo},
	}
}

// unlessFull keeps the tree from growing without end.
func (c *Churn) unlessFull(path string, do func() error) (string, error) {
	if c.full() {
		return c.show(path), errFull
	}
	return c.show(path), do()
}

// on runs do with an entry, if there is one.
func (c *Churn) on(path string, do func() error) (string, error) {
	if path == "" {
		return "", errNothing
	}
	return c.show(path), do()
}

func (c *Churn) create() (string, error) {
	path := c.place()
	return c.unlessFull(path, func() error {
		return c.put(path, os.O_CREATE|os.O_EXCL, c.size())
	})
}

func (c *Churn) write() (string, error) {
	path := c.existing(isFile)
	return c.on(path, func() error { return c.put(path, os.O_TRUNC, c.size()) })
}

func (c *Churn) append() (string, error) {
	path := c.existing(isFile)
	return c.on(path, func() error { return c.put(path, os.O_APPEND, c.size()) })
}

// rewrite puts other bytes of the same number in place, at once and again:
// size and whole second of the time stay what they were.
func (c *Churn) rewrite() (string, error) {
	path := c.existing(isFile)
	return c.on(path, func() error {
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		size := max(1, int(info.Size()))
		return errors.Join(c.put(path, os.O_TRUNC, size), c.put(path, 0, size))
	})
}

func (c *Churn) truncate() (string, error) {
	path := c.existing(isFile)
	return c.on(path, func() error { return os.Truncate(path, int64(c.rand.IntN(3000))) })
}

// put writes a file. It neither follows the tree's own links out of it nor
// waits for the reader of a fifo.
func (c *Churn) put(path string, flags, size int) error {
	return c.inside(path, func(r *os.Root, rel string) error {
		f, err := r.OpenFile(rel, os.O_WRONLY|syscall.O_NONBLOCK|flags, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(c.bytes(size))
		return errors.Join(err, f.Close())
	})
}

// inside gives do the tree or the place outside that holds path, and the path
// below it: a link to "/" that an edit made must not lead a later one there.
func (c *Churn) inside(path string, do func(r *os.Root, rel string) error) error {
	for _, base := range []string{c.root, c.outside} {
		rel, err := filepath.Rel(base, path)
		if err != nil || !filepath.IsLocal(rel) {
			continue
		}
		r, err := os.OpenRoot(base)
		if err != nil {
			return err
		}
		defer r.Close()
		return do(r, rel)
	}
	return fmt.Errorf("%s is neither in the tree nor in the place outside", path)
}

func (c *Churn) mkdirs(path string) error {
	return c.inside(path, func(r *os.Root, rel string) error { return r.MkdirAll(rel, 0o755) })
}

// save does what editors do: a new file, renamed over the old one.
func (c *Churn) save() (string, error) {
	path := c.existing(isFile)
	return c.on(path, func() error {
		tmp := filepath.Join(filepath.Dir(path), ".save~")
		if err := c.put(tmp, os.O_CREATE|os.O_TRUNC, c.size()); err != nil {
			return err
		}
		return os.Rename(tmp, path)
	})
}

func (c *Churn) rename() (string, error) {
	from := c.existing(anything)
	if from == "" {
		return "", errNothing
	}
	to := c.place()
	what := c.show(from) + " to " + c.show(to)
	if c.depth(to)+c.height(from) > maxDepth {
		return what, errDeep
	}
	return what, os.Rename(from, to)
}

// renameIn brings in a file, or a directory with things in it that no event
// will tell of.
func (c *Churn) renameIn() (string, error) {
	to := c.place()
	return c.unlessFull(to, func() error {
		from := filepath.Join(c.outside, fmt.Sprintf("in%d", c.n))
		if c.rand.IntN(2) == 0 {
			return errors.Join(c.put(from, os.O_CREATE, c.size()), os.Rename(from, to))
		}
		sub := filepath.Join(from, c.name(), "deep")
		if c.depth(to)+3 > maxDepth {
			return errDeep
		}
		return errors.Join(c.mkdirs(sub),
			c.put(filepath.Join(sub, c.name()), os.O_CREATE, c.size()),
			c.put(filepath.Join(from, "f"), os.O_CREATE, c.size()),
			os.Rename(from, to))
	})
}

func (c *Churn) renameOut() (string, error) {
	from := c.existing(anything)
	return c.on(from, func() error {
		return os.Rename(from, filepath.Join(c.outside, fmt.Sprintf("out%d", c.n)))
	})
}

func (c *Churn) remove() (string, error) {
	path := c.existing(notADir)
	return c.on(path, func() error { return os.Remove(path) })
}

func (c *Churn) removeAll() (string, error) {
	path := c.existing(isDir)
	return c.on(path, func() error { return os.RemoveAll(path) })
}

// chmod gives an entry another mode. Without being root the tree has to stay
// readable, or nobody could compare it.
func (c *Churn) chmod() (string, error) {
	path := c.existing(noLink)
	return c.on(path, func() error {
		modes := []uint32{0o755, 0o700, 0o750, 0o777, 0o1777, 0o2755}
		if os.Geteuid() == 0 {
			modes = append(modes, 0o644, 0o600, 0o640, 0o444, 0o000, 0o4755, 0o6711)
		}
		return syscall.Chmod(path, modes[c.rand.IntN(len(modes))])
	})
}

func (c *Churn) chown() (string, error) {
	path := c.existing(anything)
	return c.on(path, func() error {
		if os.Geteuid() != 0 {
			return errors.New("skipped, not root")
		}
		return os.Lchown(path, c.rand.IntN(3)*1000, c.rand.IntN(3)*1000)
	})
}

func (c *Churn) symlink() (string, error) {
	path := c.place()
	targets := []string{
		"dangling", "f1.txt", "..", ".", "../..", "../../../../etc/passwd", "/etc/passwd", "/",
		c.outside, c.root, "new\nline", "\xff", filepath.Base(path), "a//b/../c", "/rsyncd-munged/x",
	}
	return c.unlessFull(path, func() error { return os.Symlink(targets[c.rand.IntN(len(targets))], path) })
}

// swapDirForLink replaces a directory by a link of its name that leads out of
// the tree, to a directory with the same names in it.
func (c *Churn) swapDirForLink() (string, error) {
	path := c.existing(isDir)
	return c.on(path, func() error {
		aside := filepath.Join(c.outside, fmt.Sprintf("swapped%d", c.n))
		return errors.Join(os.Rename(path, aside), os.Symlink(aside, path))
	})
}

func (c *Churn) hardlink() (string, error) {
	from := c.existing(isFile)
	if from == "" {
		return "", errNothing
	}
	to := c.place()
	what, err := c.unlessFull(to, func() error { return os.Link(from, to) })
	return what + " to " + c.show(from), err
}

// retype puts something of another type in an entry's place.
func (c *Churn) retype() (string, error) {
	path := c.existing(anything)
	return c.on(path, func() error {
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		makers := []func() error{
			func() error { return c.put(path, os.O_CREATE, c.size()) },
			func() error { return os.Mkdir(path, 0o755) },
			func() error { return os.Symlink("elsewhere", path) },
			func() error { return syscall.Mkfifo(path, 0o644) },
		}
		i := c.rand.IntN(len(makers))
		if info.Mode().IsRegular() && i == 0 || info.IsDir() && i == 1 {
			i = 2
		}
		return makers[i]()
	})
}

func (c *Churn) mkdirAll() (string, error) {
	path := c.place()
	for range c.rand.IntN(4) {
		path = filepath.Join(path, c.name())
	}
	return c.unlessFull(path, func() error {
		if c.depth(path) >= maxDepth {
			return errDeep
		}
		return errors.Join(c.mkdirs(path), c.put(filepath.Join(path, c.name()), os.O_CREATE, c.size()))
	})
}

func (c *Churn) fifo() (string, error) {
	path := c.place()
	return c.unlessFull(path, func() error { return syscall.Mkfifo(path, 0o600) })
}
