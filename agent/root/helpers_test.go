package root

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syncagent/agent/tree"
)

const (
	attrs   = tree.Attrs
	content = tree.Content
	deep    = tree.Deep
)

func m(p tree.Path, w tree.What) tree.Mark { return tree.Mark{Path: p, What: w} }

// scratch is a new directory with an empty root and an empty outside in it.
func scratch(t testing.TB) (root, outside string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, outside = filepath.Join(dir, "root"), filepath.Join(dir, "outside")
	for _, d := range []string{root, outside} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root, outside
}

// grow makes entries below dir: "a/" a directory, "a -> b" a symlink, "a|" a fifo, else a file
// that holds its own name.
func grow(t testing.TB, dir string, entries ...string) {
	t.Helper()
	for _, e := range entries {
		if err := growOne(dir, e); err != nil {
			t.Fatal(err)
		}
	}
}

func growOne(dir, entry string) error {
	name, to, link := strings.Cut(entry, " -> ")
	path := filepath.Join(dir, strings.TrimSuffix(name, "|"))
	if strings.HasSuffix(name, "/") {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	switch {
	case link:
		return os.Symlink(to, path)
	case strings.HasSuffix(name, "|"):
		return unix.Mkfifo(path, 0o644)
	}
	return os.WriteFile(path, []byte(name), 0o644)
}

func open(t testing.TB, path string) *Root {
	t.Helper()
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// bothWays runs a test with openat2 and without.
func bothWays(t *testing.T, test func(t *testing.T, without bool)) {
	t.Run("openat2", func(t *testing.T) { test(t, false) })
	t.Run("by component", func(t *testing.T) { test(t, true) })
}

// brief is an entry without what only a real file has.
func brief(e Entry) string {
	kind := ""
	if e.State == Present {
		kind = map[uint32]string{unix.S_IFDIR: " dir", unix.S_IFREG: " file", unix.S_IFLNK: " link", unix.S_IFIFO: " fifo"}[e.Stat.Type()]
	}
	unseen := ""
	if e.Unseen {
		unseen = " unseen"
	}
	return fmt.Sprintf("%q %s %s%s %d%s", e.Path, e.What, e.State, kind, e.Marks, unseen)
}

func briefs(entries []Entry) []string {
	out := []string{}
	for _, e := range entries {
		out = append(out, brief(e))
	}
	return out
}

// run executes mv, ln, rm, mkdir and touch below dir.
func run(t *testing.T, dir string, commands []string) {
	t.Helper()
	for _, c := range commands {
		f := append(strings.Fields(c), "")
		at := func(name string) string { return filepath.Join(dir, name) }
		var err error
		switch f[0] {
		case "mv":
			err = os.Rename(at(f[1]), at(f[2]))
		case "ln":
			err = os.Symlink(f[1], at(f[2]))
		case "rm":
			err = os.RemoveAll(at(f[1]))
		case "mkdir":
			err = os.Mkdir(at(f[1]), 0o755)
		case "touch":
			err = os.WriteFile(at(f[1]), nil, 0o644)
		}
		if err != nil {
			t.Fatal(c, err)
		}
	}
}

func TestMain(m *testing.M) {
	// most of what is done here is small files: a memory file system is kinder to them
	if _, set := os.LookupEnv("TMPDIR"); !set && unix.Access("/dev/shm", unix.W_OK) == nil {
		os.Setenv("TMPDIR", "/dev/shm")
	}
	os.Exit(m.Run())
}
