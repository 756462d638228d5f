package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const pausedSuffix = ".paused"

// pausedText is for people: that the file is there is all that counts.
const pausedText = "agent pause: nothing is sent until agent resume\n"

// Paused reports whether the user paused a module on a target. Apart from the record,
// which may get damaged, it is a file that is there or not: whatever becomes of its
// content, the pause holds.
func (s *Store) Paused(module, target string) (bool, error) {
	name, err := pausedName(module, target)
	if err != nil {
		return false, err
	}
	release, err := s.hold()
	if err != nil {
		return false, err
	}
	defer release()
	_, err = os.Lstat(filepath.Join(s.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for pause: %w", err)
	}
	return true, nil
}

// SetPaused notes that the user paused a module on a target, or let it go on. When it
// returns nil, the disk has it.
func (s *Store) SetPaused(module, target string, paused bool) error {
	name, err := pausedName(module, target)
	if err != nil {
		return err
	}
	if paused {
		return s.save(name, []byte(pausedText))
	}
	return s.remove(name)
}

func pausedName(module, target string) (string, error) {
	if module == "" || target == "" {
		return "", errNoName
	}
	return escape(module) + separator + escape(target) + pausedSuffix, nil
}
