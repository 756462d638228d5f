package secrets

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// maxRead bounds what is read of a password file or of standard input.
const maxRead = 64 << 10

// remedy makes a new password file; %[1]s is the file.
const remedy = "write one with: agent secrets generate > %[1]s; chmod 600 %[1]s"

// LoadFile reads a client password file the way rsync does: the first line
// that is not empty, of a file that others can neither read nor write and
// that belongs to root when we are root. A missing file's error is
// fs.ErrNotExist.
func LoadFile(path string) (Secret, error) {
	// A fifo in place of the file must not stop us, hence O_NONBLOCK.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Secret{}, openError(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Secret{}, fmt.Errorf("read password file: %w", err)
	}
	if err := checkInfo(path, info); err != nil {
		return Secret{}, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxRead))
	if err != nil {
		return Secret{}, fmt.Errorf("read password file: %w", err)
	}
	s, err := New(firstLine(strings.TrimLeft(string(data), "\r\n")))
	if err != nil {
		return Secret{}, fmt.Errorf("password file %[1]s: %[2]w; "+remedy, path, err)
	}
	return s, nil
}

// openError adds the remedy to what open said.
func openError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return missingError{path}
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("password file %s: %w; call it as root, or as the user whom the file belongs to", path, fs.ErrPermission)
	}
	return fmt.Errorf("read password file: %w", err)
}

// missingError is fs.ErrNotExist with what to do about it.
type missingError struct{ path string }

func (e missingError) Error() string {
	return fmt.Sprintf("password file %[1]s does not exist; "+remedy, e.path)
}

func (missingError) Is(target error) bool { return target == fs.ErrNotExist }

// Read takes the first line of r, as typed or piped into standard input.
func Read(r io.Reader) (Secret, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxRead))
	if err != nil {
		return Secret{}, fmt.Errorf("read password from standard input: %w", err)
	}
	s, err := New(firstLine(string(data)))
	if err != nil {
		return Secret{}, fmt.Errorf("standard input: %w; try: agent secrets generate | agent …", err)
	}
	return s, nil
}

// FromEnv takes the environment variable called name.
func FromEnv(name string) (Secret, error) {
	s, err := New(os.Getenv(name))
	if err != nil {
		return Secret{}, fmt.Errorf("environment variable %s: %w", name, err)
	}
	return s, nil
}

func firstLine(text string) string {
	if i := strings.IndexAny(text, "\r\n"); i >= 0 {
		return text[:i]
	}
	return text
}

// CheckMode applies rsync's rules to a password or secrets file: a regular
// file that others can neither read nor write, owned by root when we are root.
// A symlink is followed. The error names the path, its mode and the remedy.
func CheckMode(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return openError(path, err)
	}
	return checkInfo(path, info)
}

func checkInfo(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("password file %s is %s: name a regular file", path, kind(info.Mode()))
	}
	if mode := info.Mode().Perm(); mode&0o006 != 0 {
		return fmt.Errorf("password file %s has mode %04o, so every user can read or change it and rsync refuses it: chmod 600 %s", path, mode, path)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 && st.Uid != 0 {
		return fmt.Errorf("password file %s belongs to uid %d, and rsync run by root takes only root's own: chown root %s", path, st.Uid, path)
	}
	return nil
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeNamedPipe != 0:
		return "a fifo"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}
