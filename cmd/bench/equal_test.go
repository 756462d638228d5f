package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pairOf makes two equal trees.
func pairOf(t *testing.T) (source, slave string) {
	t.Helper()
	dir := t.TempDir()
	source, slave = filepath.Join(dir, "source"), filepath.Join(dir, "slave")
	for _, root := range []string{source, slave} {
		err := errors.Join(
			os.MkdirAll(filepath.Join(root, "d"), 0o755),
			os.WriteFile(filepath.Join(root, "d/file"), []byte("content"), 0o644),
			os.Symlink("file", filepath.Join(root, "d/link")),
			os.Chtimes(filepath.Join(root, "d/file"), epoch(), epoch()))
		if err != nil {
			t.Fatal(err)
		}
	}
	return source, slave
}

// await gives up at once: what is not equal now is not.
func await(t *testing.T, source, slave string, gone ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := awaitEqual(ctx, source, []string{slave}, gone)
	return err
}

func TestAwaitEqual(t *testing.T) {
	stamp := func(path string, at time.Time) error { return os.Chtimes(path, at, at) }
	for _, tt := range []struct {
		name   string
		change func(slave string) error
		gone   string
		want   string // "" is equal
	}{
		{"nothing", func(string) error { return nil }, "", ""},
		{"another time", func(s string) error { return stamp(s+"/d/file", epoch().Add(time.Second)) }, "", ""},
		{"a missing file", func(s string) error { return os.Remove(s + "/d/file") }, "", `"d/file" is not there`},
		{"another size", func(s string) error { return os.WriteFile(s+"/d/file", []byte("con"), 0) }, "", `"d/file" is not there`},
		{"another mode", func(s string) error { return os.Chmod(s+"/d/file", 0o600) }, "", `"d/file" is not there`},
		{"another content", func(s string) error { return os.WriteFile(s+"/d/file", []byte("c0ntent"), 0) }, "", `"d/file" is not there`},
		{"another content under the same time", func(s string) error {
			return errors.Join(os.WriteFile(s+"/d/file", []byte("c0ntent"), 0), stamp(s+"/d/file", epoch()))
		}, "", "1 differences in slave"},
		{"another target", func(s string) error {
			return errors.Join(os.Remove(s+"/d/link"), os.Symlink("fi1e", s+"/d/link"))
		}, "", "1 differences in slave"},
		{"something extra", func(s string) error { return os.Mkdir(s+"/old", 0o755) }, "", "1 differences in slave"},
		{"something that should be gone", func(s string) error { return os.Mkdir(s+"/old", 0o755) }, "old", `"old" is still there`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source, slave := pairOf(t)
			if err := tt.change(slave); err != nil {
				t.Fatal(err)
			}
			err := await(t, source, slave, split(tt.gone, ",")...)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got %v", err)
			case tt.want != "" && (!errors.Is(err, errNever) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// The moment that counts is the one at which the last thing arrived.
func TestAwaitEqualWaits(t *testing.T) {
	source, slave := pairOf(t)
	if err := os.Remove(slave + "/d/file"); err != nil {
		t.Fatal(err)
	}
	written := make(chan time.Time, 1)
	go func() {
		time.Sleep(20 * time.Millisecond)
		now := time.Now()
		_ = os.WriteFile(slave+"/d/file", []byte("content"), 0o644)
		written <- now
	}()
	end, err := awaitEqual(t.Context(), source, []string{slave}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if w := <-written; end.Before(w) {
		t.Errorf("equal at %v, but the file came at %v", end, w)
	}
}
