package rsync

import (
	"slices"

	"syncagent/agent/tree"
)

// maxPath is the longest relative path in bytes that is sent; longer ones rsync
// loses in silence somewhere below 4096.
const maxPath = 4000

// newList returns what --files-from=- --from0 reads: sorted, each path once and
// behind a slash, which keeps '#' and ';' from starting a comment and "." out
// of the list. tree.Root becomes "/", the root itself.
func newList(parts ...[]tree.Path) []byte {
	all := slices.Concat(parts...)
	slices.SortFunc(all, tree.Compare)
	all = slices.Compact(all)
	size := 0
	for _, p := range all {
		size += len(p) + 2
	}
	list := make([]byte, 0, size)
	for _, p := range all {
		list = append(list, '/')
		list = append(list, p...)
		list = append(list, 0)
	}
	return list
}

// topmost sorts paths and drops those below another one.
func topmost(paths []tree.Path) []tree.Path {
	all := slices.Clone(paths)
	slices.SortFunc(all, tree.Compare)
	top := all[:0]
	for _, p := range all {
		if n := len(top); n == 0 || !top[n-1].Contains(p) {
			top = append(top, p)
		}
	}
	return top
}

// pathSet answers for a path which of the set's it belongs to.
type pathSet map[tree.Path]bool

func newPathSet(parts ...[]tree.Path) pathSet {
	s := pathSet{}
	for _, part := range parts {
		for _, p := range part {
			s[p] = true
		}
	}
	return s
}

// owner returns the nearest of p and its ancestors that is in the set.
func (s pathSet) owner(p tree.Path) (tree.Path, bool) {
	for {
		if s[p] {
			return p, true
		}
		if p == tree.Root {
			return tree.Root, false
		}
		p = p.Parent()
	}
}

// holds reports whether some path of the set lies below p; the set's paths are
// walked, so it is for the rare case.
func (s pathSet) holds(p tree.Path) bool {
	for q := range s {
		if p.Contains(q) {
			return true
		}
	}
	return false
}
