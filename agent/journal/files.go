package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	tmpSuffix     = ".tmp"
	corruptSuffix = ".corrupt"
	// maxRecord bounds what is read, with room for the longest paths Linux has.
	maxRecord = 512 << 20
)

// CorruptError: a record was torn, damaged or of another format. It is out of the way, the next
// Load finds none.
type CorruptError struct {
	Path     string // of the record
	SetAside string // where it was moved, "" if that failed
	Err      error
}

func (e *CorruptError) Error() string {
	kept := fmt.Sprintf("it was kept as %q", e.SetAside)
	if e.SetAside == "" {
		kept = "move it away"
	}
	return fmt.Sprintf("journal record %q cannot be used: %v; %s", e.Path, e.Err, kept)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// errTooLarge: nothing of ours is as large.
var errTooLarge = errors.New("it is too large to be a record")

// load reads the record called name and has it decoded.
func (s *Store) load(name string, decode func([]byte) error) error {
	release, err := s.hold()
	if err != nil {
		return err
	}
	defer release()
	path := filepath.Join(s.dir, name)
	data, err := read(path)
	if err != nil && !errors.Is(err, errTooLarge) {
		return fmt.Errorf("read journal: %w", err)
	}
	if err == nil {
		err = decode(data)
	}
	if err == nil {
		return nil
	}
	aside := path + corruptSuffix
	if moveErr := s.rename(path, aside); moveErr != nil {
		return &CorruptError{Path: path, Err: errors.Join(err, moveErr)}
	}
	return &CorruptError{Path: path, SetAside: aside, Err: err}
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxRecord {
		return nil, errTooLarge
	}
	return io.ReadAll(io.LimitReader(file, maxRecord))
}

// save replaces the record called name.
func (s *Store) save(name string, data []byte) error {
	release, err := s.hold()
	if err != nil {
		return err
	}
	defer release()
	path := filepath.Join(s.dir, name)
	tmp := path + "." + strconv.FormatUint(s.serial.Add(1), 10) + tmpSuffix
	err = s.write(tmp, data)
	if err == nil {
		err = s.rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp)
		return fmt.Errorf("save journal %q: %w", path, err)
	}
	return s.before(stepDone)
}

// write writes a new file and waits until the disk has it.
func (s *Store) write(path string, data []byte) error {
	var file *os.File
	err := s.do(stepCreate, func() (err error) {
		file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	err = s.do(stepWrite, func() error {
		_, err := file.Write(data)
		return err
	})
	if err == nil {
		err = s.do(stepSync, file.Sync)
	}
	return errors.Join(err, s.do(stepClose, file.Close))
}

// rename renames within the directory and waits until the disk has it.
func (s *Store) rename(from, to string) error {
	if err := s.do(stepRename, func() error { return os.Rename(from, to) }); err != nil {
		return err
	}
	return s.do(stepSyncDir, s.syncDir)
}

func (s *Store) syncDir() error {
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	// EINVAL: a file system that has no such thing
	if err := dir.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return nil
}

// do takes one step on disk, unless a test has it fail.
func (s *Store) do(op step, call func() error) error {
	if err := s.before(op); err != nil {
		return err
	}
	return call()
}

// remove removes the record called name, if there is one, and waits until the disk
// has forgotten it.
func (s *Store) remove(name string) error {
	release, err := s.hold()
	if err != nil {
		return err
	}
	defer release()
	err = os.Remove(filepath.Join(s.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.do(stepSyncDir, s.syncDir)
	}
	if err != nil {
		return fmt.Errorf("remove journal: %w", err)
	}
	return nil
}
