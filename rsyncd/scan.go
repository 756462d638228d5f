package rsyncd

import (
	"bytes"
	"fmt"
	"strings"
)

// scanner cuts a file into sections and parameters by the grammar of rsync's
// params.c. Where the daemon would skip a line with a word in its log, or read
// it in a way nobody means, the scanner fails.
type scanner struct {
	src  []byte
	pos  int
	line int // of src[pos], 1-based
}

type token struct {
	kind  tokenKind
	line  int
	name  string // white space collapsed
	value string
}

type tokenKind int

const (
	tokenEnd tokenKind = iota
	tokenSection
	tokenParam
)

func newScanner(src []byte) (*scanner, error) {
	if i := bytes.IndexByte(src, 0); i >= 0 {
		line := 1 + bytes.Count(src[:i], []byte{'\n'})
		return nil, &ParseError{line, "a NUL byte, where the daemon stops reading: remove it"}
	}
	return &scanner{src: src, line: 1}, nil
}

func (s *scanner) fail(line int, format string, args ...any) error {
	return &ParseError{line, fmt.Sprintf(format, args...)}
}

func (s *scanner) peek() (byte, bool) {
	if s.pos == len(s.src) {
		return 0, false
	}
	return s.src[s.pos], true
}

func (s *scanner) take() (byte, bool) {
	c, ok := s.peek()
	if ok {
		s.pos++
	}
	if c == '\n' {
		s.line++
	}
	return c, ok
}

// blanks skips white space up to the end of the line.
func (s *scanner) blanks() {
	for {
		c, ok := s.peek()
		if !ok || c == '\n' || !isSpace(c) {
			return
		}
		s.take()
	}
}

func (s *scanner) restOfLine() string {
	start := s.pos
	for {
		c, ok := s.take()
		if !ok || c == '\n' {
			return strings.TrimFunc(string(s.src[start:s.pos]), isSpaceRune)
		}
	}
}

func (s *scanner) next() (token, error) {
	for {
		s.blanks()
		c, ok := s.peek()
		switch {
		case !ok:
			return token{kind: tokenEnd, line: s.line}, nil
		case c == '\n', c == '\\': // a stray backslash is skipped
			s.take()
		case c == '#', c == ';':
			s.restOfLine()
		case c == '[':
			return s.section()
		case c == '&':
			line := s.line
			return token{}, s.fail(line, "%s hides settings in another file: put them here", s.restOfLine())
		default:
			return s.param()
		}
	}
}

func (s *scanner) section() (token, error) {
	line := s.line
	s.take()
	name, ok := s.name(']')
	switch {
	case !ok:
		return token{}, s.fail(line, "[%s is not closed by ] on its line: the daemon would refuse every connection", name)
	case name == "":
		return token{}, s.fail(line, "a module without a name: write it between [ and ]")
	case strings.Contains(name, "/"):
		return token{}, s.fail(line, "module [%s] has a slash in its name: take it out", name)
	}
	if rest := s.restOfLine(); rest != "" && rest[0] != '#' && rest[0] != ';' {
		return token{}, s.fail(line, "%q after [%s] is not read: put it on a line of its own", rest, name)
	}
	return token{kind: tokenSection, line: line, name: name}, nil
}

func (s *scanner) param() (token, error) {
	line := s.line
	name, ok := s.name('=')
	switch {
	case !ok:
		return token{}, s.fail(line, "%q is not read: want name = value, a [module] or a # comment", name)
	case name == "":
		return token{}, s.fail(line, "a value without a name: write the parameter's name before the =")
	}
	value, err := s.value(line, name)
	return token{kind: tokenParam, line: line, name: name, value: value}, err
}

// name reads up to stop on the same line, with each run of white space as one
// blank.
func (s *scanner) name(stop byte) (string, bool) {
	var b []byte
	for {
		c, ok := s.peek()
		if !ok || c == '\n' {
			return collapse(b), false
		}
		s.take()
		if c == stop {
			return collapse(b), true
		}
		b = append(b, c)
	}
}

func collapse(b []byte) string {
	return strings.Join(strings.FieldsFunc(string(b), isSpaceRune), " ")
}

// value reads to the end of the line, and on while the line ends in a
// backslash.
func (s *scanner) value(line int, name string) (string, error) {
	s.blanks()
	var b []byte
	joined := 0 // length up to the last continuation
	for {
		c, ok := s.take()
		if !ok {
			break
		}
		if c == '\n' {
			before, more := bytes.CutSuffix(bytes.TrimRightFunc(b, isSpaceRune), []byte{'\\'})
			if !more {
				break
			}
			b, joined = before, len(before)
			continue
		}
		if c < ' ' && c != '\t' && c != '\r' {
			return "", s.fail(line, "the value of %q holds the control character %#02x: remove it", name, c)
		}
		if c != '\r' { // dropped wherever it stands
			b = append(b, c)
		}
	}
	v := bytes.TrimRightFunc(b, isSpaceRune)
	switch {
	case len(v) < joined, len(v) > 0 && isSpace(v[0]):
		return "", s.fail(line, "the value of %q begins or ends in white space around a continued line: join the lines", name)
	case bytes.HasSuffix(v, []byte{'\\'}):
		return "", s.fail(line, "the value of %q ends in a backslash: remove it", name)
	}
	return string(v), nil
}
