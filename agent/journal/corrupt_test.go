package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syncagent/agent/tree"
)

// damaged loads data as the record and checks that it is refused and kept.
func damaged(t *testing.T, s *Store, what string, data []byte) {
	t.Helper()
	path := filepath.Join(s.dir, "www@s1.target")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := s.LoadTarget("www", "s1")
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		t.Fatalf("%s: got %+v, %v", what, got, err)
	}
	if diff := cmp.Diff(Target{}, got); diff != "" {
		t.Errorf("%s: something was loaded:\n%s", what, diff)
	}
	if corrupt.Path != path || corrupt.SetAside != path+".corrupt" {
		t.Errorf("%s: got %+v", what, corrupt)
	}
	if kept, err := os.ReadFile(corrupt.SetAside); err != nil || string(kept) != string(data) {
		t.Errorf("%s: it was not kept: %v", what, err)
	}
	if _, err := s.LoadTarget("www", "s1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: loaded again: %v", what, err)
	}
}

func TestDamagedAnywhere(t *testing.T) {
	s := open(t, t.TempDir())
	good, err := encodeTarget(sample(), "www", "s1")
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		damaged(t, s, fmt.Sprintf("cut at %d", i), good[:i])
		for _, bit := range []byte{1, 1 << 5, 1 << 7, 0xff} {
			bad := []byte(string(good))
			bad[i] ^= bit
			damaged(t, s, fmt.Sprintf("byte %d xor %#x", i, bit), bad)
		}
		zeros := append(append([]byte{}, good[:i]...), make([]byte, len(good)-i)...)
		damaged(t, s, fmt.Sprintf("zeros from %d", i), zeros)
	}
	damaged(t, s, "more", append(append([]byte{}, good...), '\n'))
	damaged(t, s, "twice", append(append([]byte{}, good...), good...))
}

// sealed gives a body its checksum.
func sealed(body string) []byte { return append([]byte(body), sum([]byte(body))...) }

func TestForeign(t *testing.T) {
	good, err := encodeTarget(sample(), "www", "s1")
	if err != nil {
		t.Fatal(err)
	}
	body := string(good[:len(good)-sumLen])
	swap := func(old, new string) string {
		out := strings.Replace(body, old, new, 1)
		if out == body {
			t.Fatalf("%q is not in the record", old)
		}
		return out
	}
	tests := map[string]string{
		"another version":   swap("journal 1", "journal 2"),
		"another kind":      swap("1 target", "1 module"),
		"another module":    swap(`"www"`, `"bbs"`),
		"another target":    swap(`"s1"`, `"s2"`),
		"an unknown field":  swap(`{"module"`, `{"x":1,"module"`),
		"two values":        swap("}\n", "}{}\n"),
		"garbage behind":    swap("}\n", "} x\n"),
		"no JSON":           swap(`{"module"`, `module"`),
		"no line":           magic + "target\n",
		"no end of line":    magic + "target\n{}",
		"fewer marks":       swap(`"pending":2`, `"pending":1`),
		"more marks":        swap(`"held":1`, `"held":2`),
		"negative marks":    swap(`"held":1`, `"held":-1`),
		"countless marks":   swap(`"held":1`, `"held":1000000000`),
		"out of order":      swap("4a\x00", "4z\x00"),
		"an unknown what":   swap("4a\x00", "@a\x00"),
		"a what below zero": swap("4a\x00", "/a\x00"),
		"no what":           swap("4a\x00", "\x00"),
		"an absolute path":  swap("4a\x00", "4/a\x00"),
		"a path outside":    swap("2old\x00", "2../old\x00"),
		"a bad time":        swap("2026-11-22T", "2026-13-22T"),
		"bad base64":        swap("eIA=", "eIA!"),
		"failing outside":   swap(`{"b64":"eIA="}`, `"../x"`),
		"empty":             "",
	}
	s := open(t, t.TempDir())
	for name, body := range tests {
		damaged(t, s, name, sealed(body))
	}
}

func TestForeignModule(t *testing.T) {
	s := open(t, t.TempDir())
	for name, body := range map[string]string{
		"another module": magic + "module\n" + `{"module":"bbs","entries":1,"path":"/"}` + "\n",
		"marks":          magic + "module\n" + `{"module":"www","entries":1,"path":"/"}` + "\n2a\x00",
		"a target":       magic + "target\n" + `{"module":"www","entries":1,"path":"/"}` + "\n",
	} {
		if err := os.WriteFile(filepath.Join(s.dir, "www.module"), sealed(body), 0o600); err != nil {
			t.Fatal(err)
		}
		var corrupt *CorruptError
		if got, err := s.LoadModule("www"); !errors.As(err, &corrupt) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestHugeFile(t *testing.T) {
	s := open(t, t.TempDir())
	path := filepath.Join(s.dir, "www@s1.target")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, maxRecord+1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LoadTarget("www", "s1"); !errors.Is(err, errTooLarge) {
		t.Errorf("got %v", err)
	}
}

// TestUnreadableIsNotCorrupt: what could not be read is left where it is.
func TestUnreadableIsNotCorrupt(t *testing.T) {
	s := open(t, t.TempDir())
	if err := os.Mkdir(filepath.Join(s.dir, "www@s1.target"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := s.LoadTarget("www", "s1")
	var corrupt *CorruptError
	if err == nil || errors.As(err, &corrupt) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "www@s1.target")); err != nil {
		t.Error(err)
	}
}

func TestCannotSetAside(t *testing.T) {
	s := open(t, t.TempDir())
	path := filepath.Join(s.dir, "www@s1.target")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.before = failAt(stepRename)
	for range 2 { // it stays, and is refused each time
		_, err := s.LoadTarget("www", "s1")
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || corrupt.SetAside != "" || !errors.Is(err, errFault) {
			t.Errorf("got %v", err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, rec := range []Target{{}, sample()} {
		data, err := encodeTarget(rec, "www", "s1")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:len(data)-sumLen])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := decodeTarget(body, "www", "s1"); err == nil {
			if got := sum(body[:len(body)-sumLen]); got != string(body[len(body)-sumLen:]) {
				t.Error("a wrong checksum was accepted")
			}
		}
		rec, err := decodeTarget(sealed(string(body)), "www", "s1")
		if err != nil {
			return
		}
		again, err := encodeTarget(rec, "www", "s1")
		if err != nil {
			t.Fatalf("decoded, but cannot be encoded: %v", err)
		}
		back, err := decodeTarget(again, "www", "s1")
		if diff := cmp.Diff(rec, back); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		for _, mk := range append(rec.Pending, rec.Held...) {
			if _, err := tree.ParsePath(string(mk.Path)); err != nil {
				t.Error(err)
			}
		}
	})
}
