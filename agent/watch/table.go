package watch

import (
	"strings"
	"sync"

	"syncagent/agent/tree"
)

// table knows which directories are watched, by path and by inode. Its paths are
// never fewer than those that fsnotify holds: it is written before Add and after
// Remove. Methods lock for a moment only, since the receiver uses them too.
type table struct {
	mu   sync.Mutex
	root node
	byID map[inode]*node
}

// node is a directory. One that is not watched (yet, or any more) has the zero id.
type node struct {
	parent *node
	name   string
	kids   map[string]*node
	id     inode
	seen   uint64 // when it was last looked at, by the backend's own count
}

func newTable() *table { return &table{byID: make(map[inode]*node)} }

// find returns the node of p, or nil.
func (t *table) find(p tree.Path) *node {
	n := &t.root
	for rest := string(p); rest != "" && n != nil; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		n = n.kids[name]
	}
	return n
}

// reserve makes p known as a directory that is being looked at, and those above
// it known.
func (t *table) reserve(p tree.Path, at uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := &t.root
	for rest := string(p); rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		n = n.kid(name)
	}
	n.seen = at
}

func (n *node) kid(name string) *node {
	k := n.kids[name]
	if k == nil {
		if n.kids == nil {
			n.kids = make(map[string]*node)
		}
		// The name is a slice of a whole path, which must not stay for its sake.
		k = &node{parent: n, name: strings.Clone(name)}
		n.kids[k.name] = k
	}
	return k
}

// known reports whether p is a directory as far as the table knows.
func (t *table) known(p tree.Path) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.find(p) != nil
}

// seen returns when p was last looked at, 0 if never.
func (t *table) seen(p tree.Path) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.find(p); n != nil {
		return n.seen
	}
	return 0
}

// claim says that the reserved p is being watched as id.
func (t *table) claim(p tree.Path, id inode) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.find(p)
	n.id = id
	t.byID[id] = n
}

// release says that p is not watched any more and reports whether it was.
func (t *table) release(p tree.Path) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.find(p)
	return n != nil && t.unclaim(n)
}

func (t *table) unclaim(n *node) bool {
	if n.id == (inode{}) {
		return false
	}
	delete(t.byID, n.id)
	n.id = inode{}
	return true
}

// owner returns the path under which id is watched.
func (t *table) owner(id inode) (p tree.Path, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byID[id]
	if n == nil {
		return tree.Root, false
	}
	return n.path(), true
}

func (n *node) path() tree.Path {
	var names []string
	for ; n.parent != nil; n = n.parent {
		names = append(names, n.name)
	}
	var b strings.Builder
	for i := len(names) - 1; i >= 0; i-- {
		b.WriteString(names[i])
		if i > 0 {
			b.WriteByte('/')
		}
	}
	return tree.Path(b.String())
}

// prune forgets p and what is below it as far as it was last looked at before
// the given time, and returns those of them that were watched. A directory above
// one that stays, stays.
func (t *table) prune(p tree.Path, before uint64) []tree.Path {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.find(p)
	if n == nil {
		return nil
	}
	var dropped []tree.Path
	if t.pruneNode(n, p, before, &dropped) && n.parent != nil {
		delete(n.parent.kids, n.name)
	}
	return dropped
}

// pruneNode reports whether nothing is left of n.
func (t *table) pruneNode(n *node, p tree.Path, before uint64, dropped *[]tree.Path) bool {
	for name, k := range n.kids {
		if t.pruneNode(k, p.Join(name), before, dropped) {
			delete(n.kids, name)
		}
	}
	if n.seen >= before {
		return false
	}
	if t.unclaim(n) {
		*dropped = append(*dropped, p)
	}
	return len(n.kids) == 0
}

// watched returns the number of directories watched.
func (t *table) watched() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID)
}
