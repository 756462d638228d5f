package tree

import "container/heap"

// nodesPerMark and spareNodes bound the trie's nodes as the cap bounds its
// marks: marks at the end of long paths that share nothing cost a node a
// component. One path alone never comes near the spare nodes.
const (
	nodesPerMark = 8
	spareNodes   = 4096
)

// bound rolls directories up once the set is past its cap, down to three
// quarters of it: looking at every node is then paid for by the marks that may
// come before it has to happen again.
func (s *Set) bound() {
	nodes := nodesPerMark*s.cap + spareNodes
	if s.Len() <= s.cap && s.nodes <= nodes {
		return
	}
	q := s.crowded()
	for len(q) > 0 && (s.Len() > s.cap-s.cap/4 || s.nodes > nodes-nodes/4) {
		n := heap.Pop(&q).(candidate).node
		if !n.mayRollUp() {
			continue // meanwhile rolled up or swallowed
		}
		s.add(n, Deep.implied())
		s.rolled++
		for n = n.parent; n != nil; n = n.parent {
			q.offer(n)
		}
	}
}

// crowded returns all candidates, the best first.
func (s *Set) crowded() queue {
	var q queue
	var look func(*node)
	look = func(n *node) {
		if n.mayRollUp() {
			q = append(q, candidate{n, n.crowd()})
		}
		for c := range n.kids.all() {
			if c.total > 1 {
				look(c)
			}
		}
	}
	look(s.root)
	heap.Init(&q)
	return q
}

// crowd returns how many marks stand at n or directly below it. A child with a
// single mark anywhere below counts as that mark: so marks that are spread one
// a directory are a crowd of the directory above.
func (n *node) crowd() int {
	if n.what != 0 {
		return n.ones + 1
	}
	return n.ones
}

// mayRollUp reports whether rolling n up saves marks and loses little: at least
// half of all that is marked below must be its crowd. Otherwise two marked files
// in the root would turn everything into one sweep. The lowest directory with
// two marks below always qualifies, so there is a candidate while there are two
// marks.
func (n *node) mayRollUp() bool {
	return n.total > 1 && 2*n.crowd() >= n.total
}

// candidate is a node with its crowd when it was queued. During a roll-up
// crowds only grow, so a node's newest entry comes out first.
type candidate struct {
	node  *node
	crowd int
}

// queue is a heap of candidates.
type queue []candidate

// offer queues n if it is a candidate.
func (q *queue) offer(n *node) {
	if n.mayRollUp() {
		heap.Push(q, candidate{n, n.crowd()})
	}
}

// Less puts the larger crowd first, of equal ones the younger node, which never
// is an ancestor of the other, and the root last: a sweep of everything costs
// more than any crowd.
func (q queue) Less(i, j int) bool {
	a, b := q[i], q[j]
	if ra, rb := a.node.parent == nil, b.node.parent == nil; ra != rb {
		return rb
	}
	if a.crowd != b.crowd {
		return a.crowd > b.crowd
	}
	return a.node.born > b.node.born
}

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(candidate)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
