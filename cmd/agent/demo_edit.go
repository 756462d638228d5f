package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// demoEdit is one change as a person would make it, and how to see that it
// stands on a slave.
type demoEdit struct {
	what  string
	make  func(root string) error
	there func(root string) bool
}

func demoEdits() []demoEdit {
	const page = "<h1>hello</h1>\n"
	return []demoEdit{
		{"create www/index.html", write("index.html", page), holds("index.html", page)},
		{"modify www/index.html", write("index.html", strings.ToUpper(page)), holds("index.html", strings.ToUpper(page))},
		{"save www/index.html as an editor does", saveLikeEditor("index.html", "edited\n"), holds("index.html", "edited\n")},
		{"make www/shop with five files", makeDir("shop", 5), holds("shop/file4", "file 4\n")},
		{"rename www/shop to www/store", rename("shop", "store"), both(holds("store/file4", "file 4\n"), missing("shop"))},
		{"chmod www/index.html", chmod("index.html", 0o640), hasMode("index.html", 0o640)},
		{"delete www/store/file0", remove("store/file0"), missing("store/file0")},
		{"remove the directory www/store", remove("store"), missing("store")},
	}
}

// edit makes one change and prints the time until it stands on each slave.
func (s *stage) edit(ctx context.Context, e demoEdit) error {
	begin := time.Now()
	if err := e.make(s.master.tree("www")); err != nil {
		return fmt.Errorf("%s: %w", e.what, err)
	}
	took := make([]string, len(s.slaves))
	failed := make(chan error, len(s.slaves))
	for i, slave := range s.slaves {
		go func() {
			failed <- eventually(ctx, time.Minute, 200*time.Microsecond, func() error {
				if !e.there(slave.tree("www")) {
					return fmt.Errorf("%s did not reach %s", e.what, slave.name)
				}
				took[i] = slave.name + " " + since(begin)
				return nil
			})
		}()
	}
	var errs []error
	for range s.slaves {
		errs = append(errs, <-failed)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "  %-40s %s\n", e.what, strings.Join(took, ", "))
	return nil
}

func write(name, text string) func(string) error {
	return func(root string) error { return os.WriteFile(filepath.Join(root, name), []byte(text), 0o644) }
}

// saveLikeEditor does what vi does on :w: it tries the directory with a file of
// an unlikely name, moves the old file away, writes a new one and drops the old.
func saveLikeEditor(name, text string) func(string) error {
	return func(root string) error {
		path, probe := filepath.Join(root, name), filepath.Join(root, "4913")
		return errors.Join(
			os.WriteFile(probe, nil, 0o644), os.Remove(probe),
			os.Rename(path, path+"~"), os.WriteFile(path, []byte(text), 0o644), os.Remove(path+"~"))
	}
}

func makeDir(name string, files int) func(string) error {
	return func(root string) error {
		dir := filepath.Join(root, name)
		err := os.Mkdir(dir, 0o755)
		for i := range files {
			err = errors.Join(err, os.WriteFile(filepath.Join(dir, fmt.Sprintf("file%d", i)), fmt.Appendf(nil, "file %d\n", i), 0o644))
		}
		return err
	}
}

func rename(from, to string) func(string) error {
	return func(root string) error { return os.Rename(filepath.Join(root, from), filepath.Join(root, to)) }
}

func chmod(name string, mode fs.FileMode) func(string) error {
	return func(root string) error { return os.Chmod(filepath.Join(root, name), mode) }
}

func remove(name string) func(string) error {
	return func(root string) error { return os.RemoveAll(filepath.Join(root, name)) }
}

func holds(name, text string) func(string) bool {
	return func(root string) bool {
		got, err := os.ReadFile(filepath.Join(root, name))
		return err == nil && bytes.Equal(got, []byte(text))
	}
}

func missing(name string) func(string) bool {
	return func(root string) bool {
		_, err := os.Lstat(filepath.Join(root, name))
		return errors.Is(err, fs.ErrNotExist)
	}
}

func hasMode(name string, mode fs.FileMode) func(string) bool {
	return func(root string) bool {
		info, err := os.Lstat(filepath.Join(root, name))
		return err == nil && info.Mode().Perm() == mode
	}
}

func both(a, b func(string) bool) func(string) bool {
	return func(root string) bool { return a(root) && b(root) }
}
