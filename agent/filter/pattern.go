package filter

import (
	"slices"
	"strings"
)

// pattern is one compiled pattern. The rules that decide what it is compared
// with are rsync's and look at the raw text: even an escaped or bracketed star
// makes a pattern wild.
type pattern struct {
	text     string // as written
	dirOnly  bool   // ended in a slash: matches directories only
	anchored bool   // began with a slash: matches from the root
	wild     bool   // holds *, ? or [; without one, a backslash is a plain byte
	deep     bool   // holds **
	plain    string // what to compare with when it is not wild
	tokens   []token
	foot     string // what a name that matches ends in
	slashes  int    // in the raw text without the one of dirOnly
	// from says where in the path the comparison begins: 0 at its start, n > 0
	// at its last n components, anySlash at its start and after every slash.
	from int
	// leading and trailing: rsync compares with "/" before the path so that
	// "**/x" matches x, and after a directory so that "x/***" matches x.
	leading, trailing bool
}

const anySlash = -1

type kind uint8

const (
	literal kind = iota // exactly the byte
	one                 // ?: any byte but a slash
	class               // [...]: any of a set, never a slash
	star                // *: any bytes but slashes
	stars               // ** and more: any bytes
)

// token matches one byte, or for the stars any number of them.
type token struct {
	kind kind
	b    byte
	set  *set
}

// compile reads the text of a pattern.
func compile(text string) (pattern, *SyntaxError) {
	if len(text) > maxPattern {
		return pattern{}, newFault("is longer than the 4095 bytes rsync takes", "shorten it with *")
	}
	p := pattern{text: text}
	raw := text
	if len(raw) > 1 && raw[len(raw)-1] == '/' {
		p.dirOnly, raw = true, raw[:len(raw)-1]
	}
	p.slashes = strings.Count(raw, "/")
	p.wild = strings.ContainsAny(raw, "*?[")
	p.deep = strings.Contains(raw, "**")
	p.leading = strings.HasPrefix(raw, "**")
	p.trailing = p.deep && strings.HasSuffix(raw, "***")
	raw, p.anchored = strings.CutPrefix(raw, "/")
	p.plain = raw
	p.from = p.begin()
	var fault *SyntaxError
	if p.tokens, fault = tokenize(raw, p.wild); fault == nil {
		fault = p.impossible()
	}
	p.foot = foot(p.tokens)
	return p, fault
}

// foot returns the literals behind the last wildcard of the last component. The
// slash before them may be the one that leading adds.
func foot(tokens []token) string {
	var s []byte
	for _, t := range slices.Backward(tokens) {
		if t.kind != literal || t.b == '/' {
			break
		}
		s = append(s, t.b)
	}
	slices.Reverse(s)
	return string(s)
}

// begin returns what from must be.
func (p *pattern) begin() int {
	switch {
	case p.anchored, p.leading:
		return 0
	case p.deep:
		return anySlash
	}
	return p.slashes + 1
}

// tokenize reads a pattern without its anchor.
func tokenize(raw string, wild bool) ([]token, *SyntaxError) {
	tokens := make([]token, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		t := token{kind: literal, b: raw[i]}
		if wild {
			switch raw[i] {
			case '\\':
				if i++; i == len(raw) {
					return nil, newFault("ends in a backslash that escapes nothing, so rsync never matches it", `write \\ for a backslash`)
				}
				t.b = raw[i]
			case '?':
				t.kind = one
			case '*':
				t.kind = star
				for i+1 < len(raw) && raw[i+1] == '*' {
					t.kind = stars
					i++
				}
			case '[':
				var fault *SyntaxError
				if t.set, i, fault = readSet(raw, i+1); fault != nil {
					return nil, fault
				}
				t.kind = class
			}
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

// impossible finds what no path can match: a path has no empty component, no
// "." and no ".."; and a pattern compared with the last n components must match
// n-1 slashes, which a set never does.
func (p *pattern) impossible() *SyntaxError {
	if p.plain == "" {
		return newFault("names the root, which is never excluded", `write "- /**" for everything in it`)
	}
	names := components(p.tokens)
	for _, name := range names {
		switch name {
		case "":
			return newFault("has an empty component, so rsync never matches it", "write single slashes")
		case ".", "..":
			return newFault("has the component "+name+", so rsync never matches it", "write the path from the root with a leading /, or the bare name")
		}
	}
	if p.from > len(names) {
		return newFault("has a slash inside [ ], where rsync never matches one", "write the slash outside of the brackets")
	}
	return nil
}

// components splits a pattern at its slashes; what is not literal stands as "*".
func components(tokens []token) []string {
	var raw []byte
	for _, t := range tokens {
		if t.kind == literal {
			raw = append(raw, t.b)
		} else {
			raw = append(raw, '*')
		}
	}
	return strings.Split(string(raw), "/")
}
