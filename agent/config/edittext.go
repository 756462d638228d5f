package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// editText makes the steps in the text of a YAML file. After each of them it
// is parsed again: files are small, and no place has to be moved along. An
// error means that a place is written in a way this code does not know.
func editText(text []byte, steps []step) ([]byte, error) {
	body, bom := bytes.CutPrefix(text, []byte("\ufeff"))
	if odd := bytes.ContainsAny(body, "\u0085\u2028\u2029") || bytes.Count(body, []byte("\r")) != bytes.Count(body, []byte("\r\n")); odd {
		return nil, errByHand // line ends to YAML, but not to us
	}
	var err error
	for _, s := range steps {
		if s.node == nil && !s.remove {
			continue
		}
		if body, err = editStep(body, s); err != nil {
			return nil, err
		}
	}
	if bom {
		body = append([]byte("\ufeff"), body...)
	}
	return body, nil
}

func editStep(text []byte, s step) ([]byte, error) {
	root, fault := parseYAML(text)
	if fault != nil {
		return nil, errByHand
	}
	e := newEditor(text)
	if len(root.Content) == 0 && root.Line == 0 {
		return e.insert(e.last(), 0, s.path, s.node)
	}
	at, limit := root, e.last()
	for i, name := range s.path {
		k := slices.IndexFunc(keysIn(at), func(n *yaml.Node) bool { return n.Value == name })
		if k < 0 && s.remove {
			return text, nil
		}
		if k < 0 {
			return e.add(at, limit, s.path[i:], s.node)
		}
		entry := entryAt(at, k, limit)
		last := i == len(s.path)-1
		switch {
		case last && s.remove:
			return e.remove(entry)
		case last:
			return e.change(entry, s.node)
		case entry.val.Kind == yaml.MappingNode && len(entry.val.Content) > 0:
			at, limit = entry.val, entry.limit
		case isFlow(at) || entry.val.Kind != yaml.MappingNode && !isNull(entry.val):
			return nil, errAt(entry.key)
		default:
			return e.fill(entry, s.path[i+1:], s.node)
		}
	}
	return nil, errByHand
}

func errAt(n *yaml.Node) error { return fmt.Errorf("line %d %w", n.Line, errByHand) }

// entry is one key of a mapping, with its value and the first line behind it
// that surely belongs to something else.
type entry struct {
	in       *yaml.Node
	index    int
	key, val *yaml.Node
	limit    int
}

func keysIn(n *yaml.Node) []*yaml.Node {
	var keys []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		keys = append(keys, n.Content[i])
	}
	return keys
}

func entryAt(in *yaml.Node, index, limit int) entry {
	e := entry{in: in, index: index, key: in.Content[2*index], val: in.Content[2*index+1], limit: limit}
	if next := 2*index + 2; next < len(in.Content) {
		e.limit = in.Content[next].Line
	}
	return e
}

func isFlow(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 }

// editor knows the places of one text. Lines count from 1.
type editor struct {
	text   []byte
	starts []int // offset of each line
	eol    string
}

func newEditor(text []byte) editor {
	e := editor{text: text, eol: "\n"}
	if bytes.Contains(text, []byte("\r\n")) {
		e.eol = "\r\n"
	}
	for at := 0; at < len(text); {
		e.starts = append(e.starts, at)
		next := bytes.IndexByte(text[at:], '\n')
		if next < 0 {
			break
		}
		at += next + 1
	}
	return e
}

// last is the line behind the document.
func (e editor) last() int {
	for i := range e.starts {
		if strings.TrimRight(e.line(i+1), " \t\r\n") == "..." {
			return i + 1
		}
	}
	return len(e.starts) + 1
}

func (e editor) start(line int) int {
	if line > len(e.starts) {
		return len(e.text)
	}
	return e.starts[line-1]
}

func (e editor) line(n int) string { return string(e.text[e.start(n):e.start(n+1)]) }

// offset is where n begins; YAML counts columns in characters.
func (e editor) offset(n *yaml.Node) int {
	at := e.start(n.Line)
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(e.text[at:])
		at += size
	}
	return at
}

// splice replaces the bytes from a up to b.
func (e editor) splice(a, b int, text string) []byte {
	return slices.Concat(e.text[:a], []byte(text), e.text[b:])
}

// end is the first line behind the entry, with comments that are indented
// deeper than its key.
func (e editor) end(en entry) int {
	end := en.limit
	for end > en.key.Line+1 && (blank(e.line(end-1)) || comment(e.line(end-1))) {
		end--
	}
	for next := end; next < en.limit; next++ {
		text := e.line(next)
		if comment(text) && indent(text) < en.key.Column {
			break
		}
		if comment(text) {
			end = next + 1
		}
	}
	return end
}

func blank(line string) bool   { return strings.TrimSpace(line) == "" }
func comment(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "#") }
func indent(line string) int   { return len(line) - len(strings.TrimLeft(line, " ")) }

// nest wraps v into mappings, so that path[0] is the key of the result. The
// innermost is written on one line.
func nest(path []string, v *yaml.Node) (string, *yaml.Node) {
	for i := len(path) - 1; i > 0; i-- {
		outer := mapping()
		put(outer, path[i], v)
		if i == len(path)-1 {
			outer.Style = yaml.FlowStyle
		}
		v = outer
	}
	return path[0], v
}

// insert writes a new entry before a line, indented by some blanks.
func (e editor) insert(before, indent int, path []string, v *yaml.Node) ([]byte, error) {
	text, err := render(nest(path, v))
	if err != nil {
		return nil, err
	}
	margin := strings.Repeat(" ", indent)
	text = margin + strings.ReplaceAll(text, "\n", e.eol+margin) + e.eol
	at := e.start(before)
	if at > 0 && e.text[at-1] != '\n' {
		text = e.eol + text
	}
	return e.splice(at, at, text), nil
}

// add puts a new entry behind the last of a mapping, or behind the one that
// comes before it in the order of the table.
func (e editor) add(at *yaml.Node, limit int, path []string, v *yaml.Node) ([]byte, error) {
	if isFlow(at) {
		return e.addFlow(at, path, v)
	}
	behind := entryAt(at, len(at.Content)/2-1, limit)
	return e.insert(e.end(behind), at.Column-1, path, v)
}

// fill gives a key without value, or with {}, its first entry.
func (e editor) fill(en entry, path []string, v *yaml.Node) ([]byte, error) {
	if isFlow(en.val) {
		return e.addFlow(en.val, path, v)
	}
	head, _, _ := strings.Cut(string(e.text[e.offset(en.key):e.start(en.key.Line+1)]), "#")
	if !strings.HasSuffix(strings.TrimSpace(head), ":") {
		return nil, errAt(en.key)
	}
	return e.insert(en.key.Line+1, en.key.Column+1, path, v)
}

// change gives an entry another value.
func (e editor) change(en entry, v *yaml.Node) ([]byte, error) {
	if en.val.Kind == yaml.SequenceNode && v.Kind == yaml.SequenceNode && !isFlow(en.val) {
		return e.changeItems(en, v)
	}
	a, b, ok := e.extent(en.val)
	if !ok {
		return nil, errAt(en.key)
	}
	text, err := e.inline(v, isQuoted(en.val) || isQuoted(en.key))
	if err != nil {
		return nil, err
	}
	return e.splice(a, b, text), nil
}

// changeItems makes a list with a line an item hold the items of v: lines of
// others go, what is missing is added at the end.
func (e editor) changeItems(en entry, v *yaml.Node) ([]byte, error) {
	var lines []string
	for _, want := range v.Content {
		if slices.ContainsFunc(en.val.Content, func(n *yaml.Node) bool { return n.Value == want.Value }) {
			continue
		}
		item, err := e.inline(want, false)
		if err != nil {
			return nil, err
		}
		lines = append(lines, strings.Repeat(" ", en.val.Column-1)+"- "+item+e.eol)
	}
	end := e.end(en)
	text := e.splice(e.start(end), e.start(end), strings.Join(lines, ""))
	for _, item := range slices.Backward(en.val.Content) {
		if !slices.ContainsFunc(v.Content, func(n *yaml.Node) bool { return n.Value == item.Value }) {
			text = slices.Delete(text, e.start(item.Line), e.start(item.Line+1))
		}
	}
	return text, nil
}

func (e editor) remove(en entry) ([]byte, error) {
	if isFlow(en.in) {
		return e.removeFlow(en)
	}
	return e.splice(e.start(en.key.Line), e.start(e.end(en)), ""), nil
}
