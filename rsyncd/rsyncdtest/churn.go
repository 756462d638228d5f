package rsyncdtest

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// seedEnv repeats a failed run.
const seedEnv = "SYNCAGENT_TEST_SEED"

// Seed returns a seed for NewChurn and logs it with the way to use it again.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv(seedEnv); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
	}
	t.Logf("churn seed %d; %s=%d repeats it", seed, seedEnv, seed)
	return seed
}

// Churn edits a tree at random, in ways that have lost data before: rewrites
// of equal size within one second, types that change, directories that become
// links to somewhere else, names that hurt shells and lists. It is
// deterministic for its seed as long as nobody else edits the tree, and never
// touches anything but the tree and its place outside, wherever links lead.
type Churn struct {
	root, outside string
	rand          *rand.Rand
	ops           []op
	spared        map[string]bool
	n             int
}

// op is one kind of edit. It returns what it did, for the log.
type op struct {
	name   string
	weight int
	do     func() (string, error)
}

// NewChurn edits root and uses outside, which it fills, as the place that
// things come from, go to and links lead to. Both have to exist, on one file
// system.
func NewChurn(seed uint64, root, outside string) *Churn {
	c := &Churn{root: root, outside: outside, rand: rand.New(rand.NewPCG(seed, seed)), spared: map[string]bool{}}
	c.ops = c.allOps()
	return c
}

// Without leaves out kinds of edits by the names that begin what Step returns.
func (c *Churn) Without(t testing.TB, kinds ...string) *Churn {
	t.Helper()
	for _, k := range kinds {
		n := len(c.ops)
		c.ops = slices.DeleteFunc(c.ops, func(o op) bool { return o.name == k })
		if len(c.ops) == n {
			t.Fatalf("there is no kind of edit called %q", k)
		}
	}
	return c
}

// Spare leaves an entry of the root, and all below it, to the test that needs
// it as it is. Its name must be none that edits make.
func (c *Churn) Spare(name string) { c.spared[name] = true }

// Kinds returns the names of the edits.
func (c *Churn) Kinds() []string {
	var names []string
	for _, o := range c.ops {
		names = append(names, o.name)
	}
	return names
}

// Step makes one edit and returns what it was: number, kind, paths and, if the
// file system refused it, why.
func (c *Churn) Step() string {
	total := 0
	for _, o := range c.ops {
		total += o.weight
	}
	pick := c.rand.IntN(total)
	i := 0
	for ; pick >= c.ops[i].weight; i++ {
		pick -= c.ops[i].weight
	}
	c.n++
	what, err := c.ops[i].do()
	s := fmt.Sprintf("%d %s %s", c.n, c.ops[i].name, what)
	if err != nil {
		s += ": " + cause(err)
	}
	return s
}

// cause leaves out the paths, which Step has said, relative to the root.
func cause(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

const (
	// maxDepth keeps every relative path, with names of 255 bytes each, below
	// the 4,000 bytes that can be replicated.
	maxDepth = 12
	// maxEntries is where edits that add give way to removals.
	maxEntries = 600
)

// existing picks an entry below the root that accept takes, "" if there is
// none. Symlinks are not followed.
func (c *Churn) existing(accept func(fs.DirEntry) bool) string {
	var found []string
	_ = filepath.WalkDir(c.root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || path == c.root:
		case c.spares(path):
			return skip(d)
		case accept(d):
			found = append(found, path)
		}
		return nil
	})
	if len(found) == 0 {
		return ""
	}
	return found[c.rand.IntN(len(found))]
}

func (c *Churn) spares(path string) bool {
	return filepath.Dir(path) == c.root && c.spared[filepath.Base(path)]
}

func skip(d fs.DirEntry) error {
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

func anything(fs.DirEntry) bool  { return true }
func isFile(d fs.DirEntry) bool  { return d.Type().IsRegular() }
func isDir(d fs.DirEntry) bool   { return d.IsDir() }
func noLink(d fs.DirEntry) bool  { return d.Type()&fs.ModeSymlink == 0 }
func notADir(d fs.DirEntry) bool { return !d.IsDir() }

// dir picks a directory, often the root, that is not too deep for more.
func (c *Churn) dir() string {
	if c.rand.IntN(4) == 0 {
		return c.root
	}
	d := c.existing(isDir)
	if d == "" || c.depth(d) >= maxDepth {
		return c.root
	}
	return d
}

// place picks a path for a new entry; something may be there already.
func (c *Churn) place() string { return filepath.Join(c.dir(), c.name()) }

func (c *Churn) depth(path string) int {
	n := 0
	for ; path != c.root && path != "/"; path = filepath.Dir(path) {
		n++
	}
	return n
}

// height is how many levels lie below path.
func (c *Churn) height(path string) int {
	highest := 0
	_ = filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err == nil {
			highest = max(highest, c.depth(p)-c.depth(path))
		}
		return nil
	})
	return highest
}

func (c *Churn) full() bool {
	n := 0
	_ = filepath.WalkDir(c.root, func(string, fs.DirEntry, error) error { n++; return nil })
	return n > maxEntries
}

// show is a path as Step prints it.
func (c *Churn) show(path string) string {
	if rel, err := filepath.Rel(c.root, path); err == nil && filepath.IsLocal(rel) {
		return strconv.Quote(rel)
	}
	return strconv.Quote("outside/" + filepath.Base(path))
}

func (c *Churn) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(c.rand.Uint32())
	}
	return b
}

// size is mostly small, sometimes several blocks.
func (c *Churn) size() int {
	if c.rand.IntN(10) == 0 {
		return c.rand.IntN(200_000)
	}
	return c.rand.IntN(2_000)
}
