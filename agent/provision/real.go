package provision

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// NewSystem returns the running host.
func NewSystem() System { return host{} }

type host struct {
	disk
	accounts
	systemctl
}

// DetectService returns "systemd" when systemd runs this host, else "none".
// For a staging directory it is "systemd" too: enabling a unit is only a link
// there, and no service is touched.
func DetectService(root string) string {
	if root != "" {
		return serviceSystemd
	}
	if fi, err := os.Lstat("/run/systemd/system"); err == nil && fi.IsDir() {
		return serviceSystemd
	}
	return serviceNone
}

type disk struct{}

func (disk) Lstat(name string) (Stat, error) {
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return Stat{}, &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
	s := Stat{Mode: fileMode(st.Mode), UID: int(st.Uid), GID: int(st.Gid)}
	if s.Mode.Type() != fs.ModeSymlink {
		return s, nil
	}
	var err error
	s.Link, err = os.Readlink(name)
	return s, err
}

// fileMode translates st_mode as far as a plan tells types apart.
func fileMode(mode uint32) fs.FileMode {
	m := normalMode(fs.FileMode(mode & 0o7777))
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return m
	case unix.S_IFDIR:
		return m | fs.ModeDir
	case unix.S_IFLNK:
		return m | fs.ModeSymlink
	}
	return m | fs.ModeIrregular
}

func (disk) ReadFile(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func (disk) List(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

func (disk) Create(name string) (Temp, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return tempFile{f}, nil
}

func (disk) Mkdir(name string) error           { return os.Mkdir(name, 0o700) }
func (disk) Symlink(target, name string) error { return os.Symlink(target, name) }
func (disk) Rename(from, to string) error      { return os.Rename(from, to) }
func (disk) Remove(name string) error          { return os.Remove(name) }
func (disk) SetAttr(name string, a Attr) (err error) {
	// A descriptor pins the entry, so a link put in its place meanwhile is not
	// followed; with O_PATH it needs no right to read.
	fd, err := unix.Open(name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	if a.UID >= 0 || a.GID >= 0 {
		if err := unix.Fchownat(fd, "", a.UID, a.GID, unix.AT_EMPTY_PATH); err != nil {
			return &fs.PathError{Op: "chown", Path: name, Err: err}
		}
	}
	if err := os.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), a.Mode); err != nil {
		return &fs.PathError{Op: "chmod", Path: name, Err: errors.Unwrap(err)}
	}
	return nil
}

func (disk) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (disk) Lock(name string, create bool) (io.Closer, error) {
	flag := os.O_RDONLY
	if create {
		flag = os.O_RDWR | os.O_CREATE
	}
	f, err := os.OpenFile(name, flag|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	return f, nil
}

type tempFile struct{ f *os.File }

func (t tempFile) SetAttr(a Attr) error {
	if a.UID >= 0 || a.GID >= 0 {
		if err := t.f.Chown(a.UID, a.GID); err != nil {
			return err
		}
	}
	return t.f.Chmod(a.Mode)
}

func (t tempFile) Write(content []byte) error {
	_, err := t.f.Write(content)
	return err
}

func (t tempFile) Close() error {
	return errors.Join(t.f.Sync(), t.f.Close())
}

type accounts struct{}

func (accounts) Self() (uid, gid int) { return os.Geteuid(), os.Getegid() }

func (accounts) UserID(name string) (int, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(u.Uid)
}

func (accounts) GroupID(name string) (int, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}
