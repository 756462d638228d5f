package tree

// node is one path of the trie. A linked node has a mark at it or below it; the
// root alone may have neither.
type node struct {
	name   string
	parent *node
	kids   kids
	born   uint64 // sequence of creation: a child is younger than its parent
	total  int    // marks at this node and below it; 0 once it was swallowed
	ones   int    // children whose total is 1
	what   What
}

// count adds by to the marks of n and of its ancestors.
func (n *node) count(by int) {
	for ; n != nil; n = n.parent {
		before := n.total
		n.total += by
		if n.parent == nil {
			return
		}
		if before == 1 {
			n.parent.ones--
		}
		if n.total == 1 {
			n.parent.ones++
		}
	}
}

// clear unlinks everything below n and returns how many nodes that were, and what
// was marked there. Each node is visited once in its life here, so the cost was paid
// when it was made.
func (n *node) clear() (gone int, what What) {
	for c := range n.kids.all() {
		more, below := c.clear()
		gone += 1 + more
		what |= c.what | below
		c.total = 0
	}
	n.kids, n.ones = kids{}, 0
	return gone, what
}

// kids holds a node's children by name. Most directories of a trie have few, and
// a map for each of them would take several times the memory of the nodes.
type kids struct {
	few  []*node
	many map[string]*node // in place of few once there are more than fewKids
}

const fewKids = 8

func (k *kids) get(name string) *node {
	if k.many != nil {
		return k.many[name]
	}
	for _, n := range k.few {
		if n.name == name {
			return n
		}
	}
	return nil
}

func (k *kids) put(n *node) {
	if k.many == nil && len(k.few) < fewKids {
		k.few = append(k.few, n)
		return
	}
	if k.many == nil {
		k.many = make(map[string]*node, 2*fewKids)
		for _, c := range k.few {
			k.many[c.name] = c
		}
		k.few = nil
	}
	k.many[n.name] = n
}

// all yields the children in no order.
func (k *kids) all() func(yield func(*node) bool) {
	return func(yield func(*node) bool) {
		for _, n := range k.few {
			if !yield(n) {
				return
			}
		}
		for _, n := range k.many {
			if !yield(n) {
				return
			}
		}
	}
}

func (k *kids) appendTo(list []*node) []*node {
	list = append(list, k.few...)
	for _, n := range k.many {
		list = append(list, n)
	}
	return list
}
