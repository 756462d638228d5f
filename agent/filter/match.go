package filter

import "strings"

// match reports whether the pattern matches the path, which must not be the
// root; dir says whether it is a directory.
func (p *pattern) match(path string, dir bool) bool {
	if p.dirOnly && !dir {
		return false
	}
	if !p.wild {
		return p.matchLiteral(path)
	}
	if !strings.HasSuffix(path, p.foot) {
		return false
	}
	if p.from > 0 {
		start, ok := tail(path, p.from)
		return ok && p.matchAt(subject{path: path[start:]}, 0)
	}
	s := subject{leading: p.leading, path: path, trailing: p.trailing && dir}
	if p.matchAt(s, 0) {
		return true
	}
	for i := 0; p.from == anySlash && i < s.len(); i++ {
		if s.at(i) == '/' && p.matchAt(s, i+1) {
			return true
		}
	}
	return false
}

func (p *pattern) matchLiteral(path string) bool {
	rest, ok := strings.CutSuffix(path, p.plain)
	return ok && (rest == "" || !p.anchored && rest[len(rest)-1] == '/')
}

// tail returns where the last n components of path begin.
func tail(path string, n int) (start int, ok bool) {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			if n--; n == 0 {
				return i + 1, true
			}
		}
	}
	return 0, n == 1
}

// subject is a path with a slash before or after it, joined without a copy.
type subject struct {
	leading  bool
	path     string
	trailing bool
}

func (s *subject) len() int {
	n := len(s.path)
	if s.leading {
		n++
	}
	if s.trailing {
		n++
	}
	return n
}

func (s *subject) at(i int) byte {
	if s.leading {
		if i == 0 {
			return '/'
		}
		i--
	}
	if i == len(s.path) {
		return '/'
	}
	return s.path[i]
}

// matchAt compares the whole pattern with s from i on.
//
// It is the usual greedy search that keeps one place to resume for the last
// star. Here there are two kinds: a star cannot pass a slash, so when it is
// exhausted the last double star before it resumes. Earlier stars of either
// kind need not be tried again: what follows them was matched as early as it
// can be. The time is bounded by the product of lengths and not, as with
// recursion, exponential in the number of stars.
func (p *pattern) matchAt(s subject, i int) bool {
	type resume struct{ token, at int }
	none := resume{token: -1}
	single, double := none, none
	n := s.len()
	for t := 0; ; {
		switch {
		case t == len(p.tokens):
			if i == n {
				return true
			}
		case p.tokens[t].kind == star:
			t++
			single = resume{t, i}
			continue
		case p.tokens[t].kind == stars:
			t++
			if t == len(p.tokens) {
				return true
			}
			single, double = none, resume{t, i}
			continue
		case i == n:
			return false // too short, and to resume only shortens it
		case p.tokens[t].matches(s.at(i)):
			t, i = t+1, i+1
			continue
		}
		switch {
		case single != none && single.at < n && s.at(single.at) != '/':
			single.at++
			t, i = single.token, single.at
		case double != none && double.at < n:
			double.at++
			t, i = double.token, double.at
			single = none
		default:
			return false
		}
	}
}

// matches reports whether the token, which is not a star, matches b.
func (t *token) matches(b byte) bool {
	switch t.kind {
	case literal:
		return t.b == b
	case one:
		return b != '/'
	default:
		return t.set.has(b)
	}
}

// mayMatchBelow reports whether the pattern may match anything below dir. Only
// an anchored pattern can be told from its text: by the part before its first
// wildcard, and by its depth unless it has a double star.
func (p *pattern) mayMatchBelow(dir string) bool {
	if !p.anchored {
		return true
	}
	if dir == "" {
		return true
	}
	if !p.deep && p.slashes <= strings.Count(dir, "/")+1 {
		return false // no deeper than dir itself, the anchor being one of the slashes
	}
	for i := range len(dir) + 1 {
		if i == len(p.tokens) {
			return false // all of it is an ancestor of what is asked for, or dir
		}
		if p.tokens[i].kind != literal {
			return true
		}
		if i == len(dir) {
			return p.tokens[i].b == '/'
		}
		if p.tokens[i].b != dir[i] {
			return false
		}
	}
	return true
}
