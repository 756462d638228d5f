package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A pause holds whatever becomes of the record and of its own content, and goes with
// the target.
func TestPauseIsThereOrNot(t *testing.T) {
	s := open(t, t.TempDir())
	is := func(want bool, when string) {
		t.Helper()
		if got, err := s.Paused("w/w", "s1"); got != want || err != nil {
			t.Errorf("%s: %v, %v", when, got, err)
		}
	}
	is(false, "at first")
	for range 2 {
		if err := s.SetPaused("w/w", "s1", true); err != nil {
			t.Fatal(err)
		}
		is(true, "paused")
	}
	if other, err := s.Paused("w/w", "s2"); other || err != nil {
		t.Errorf("another target: %v, %v", other, err)
	}
	file := filepath.Join(s.dir, "w%2Fw@s1.paused")
	for _, content := range []string{"", "torn", "\x00\x00"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		is(true, "with other content")
	}
	s = reopen(t, s)
	is(true, "after a restart")
	if _, err := s.LoadTarget("w/w", "s1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it counts as a record: %v", err)
	}
	for range 2 {
		if err := s.SetPaused("w/w", "s1", false); err != nil {
			t.Fatal(err)
		}
		is(false, "resumed")
	}
	if err := s.SetPaused("w/w", "s1", true); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveTarget("w/w", "s1"); err != nil {
		t.Fatal(err)
	}
	is(false, "of a target that was removed")
	s.before = func(step) error { return fs.ErrPermission }
	if err := s.SetPaused("w/w", "s1", true); err == nil {
		t.Error("what could not be written is no error")
	}
}

func reopen(t *testing.T, s *Store) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, s.dir)
}
