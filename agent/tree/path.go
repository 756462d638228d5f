package tree

import (
	"errors"
	"fmt"
	"strings"
)

// Path names an entry of a tree relative to the tree's root: its components
// joined by single slashes, without a leading or trailing one. File names are
// bytes: any byte but NUL and '/' may stand in a component. The root is "".
type Path string

// Root is the path of the tree's root itself.
const Root Path = ""

// ErrPath is wrapped by every error of ParsePath.
var ErrPath = errors.New("not a path below the root")

// ParsePath checks that s is a Path in its one canonical form. It refuses what
// could leave the root or name an entry twice: a leading or trailing slash, an
// empty component, "." and "..", and NUL.
func ParsePath(s string) (Path, error) {
	if s == "" {
		return Root, nil
	}
	if strings.IndexByte(s, 0) >= 0 {
		return Root, fmt.Errorf("%w: %q holds NUL", ErrPath, s)
	}
	for part := range strings.SplitSeq(s, "/") {
		switch part {
		case "", ".", "..":
			return Root, fmt.Errorf("%w: %q holds the component %q", ErrPath, s, part)
		}
	}
	return Path(s), nil
}

// Join returns the entry called name in the directory p. The name must be a
// single component.
func (p Path) Join(name string) Path {
	if p == Root {
		return Path(name)
	}
	return p + "/" + Path(name)
}

// Parent returns the directory that holds p; the root's parent is the root.
func (p Path) Parent() Path {
	i := strings.LastIndexByte(string(p), '/')
	if i < 0 {
		return Root
	}
	return p[:i]
}

// Base returns the last component of p, "" for the root.
func (p Path) Base() string {
	return string(p[strings.LastIndexByte(string(p), '/')+1:])
}

// Contains reports whether q is p or lies below it.
func (p Path) Contains(q Path) bool {
	if p == Root || p == q {
		return true
	}
	return len(q) > len(p) && q[len(p)] == '/' && q[:len(p)] == p
}

// Compare orders paths so that a directory stands directly before everything
// below it: component by component, bytes by value.
func Compare(a, b Path) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] == b[i] {
			continue
		}
		return order(a[i]) - order(b[i])
	}
	return len(a) - len(b)
}

// order ranks the slash below every byte that a name may hold.
func order(c byte) int {
	if c == '/' {
		return 0
	}
	return int(c)
}
