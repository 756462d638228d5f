package config

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Edits inside {...} and [...], which is also how JSON is written.

func isQuoted(n *yaml.Node) bool { return n.Style&yaml.DoubleQuotedStyle != 0 }

// extent is where a scalar of one line or a flow collection stands.
func (e editor) extent(n *yaml.Node) (from, to int, ok bool) {
	from = e.offset(n)
	if from >= len(e.text) || n.Anchor != "" || n.Kind == yaml.AliasNode {
		return 0, 0, false
	}
	first := e.text[from]
	switch {
	case n.Kind != yaml.ScalarNode:
		to = closing(e.text, from)
	case first == '"' || first == '\'':
		to = quoteEnd(e.text, from)
	case bytes.HasPrefix(e.text[from:], []byte(n.Value)) && n.Value != "" && !isNull(n):
		to = from + len(n.Value)
	}
	return from, to, to > from
}

// quoteEnd is the offset behind the quoted text that begins at from, or 0.
func quoteEnd(text []byte, from int) int {
	mark := text[from]
	for i := from + 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && mark == '"':
			i++
		case text[i] != mark:
		case mark == '\'' && i+1 < len(text) && text[i+1] == mark:
			i++
		default:
			return i + 1
		}
	}
	return 0
}

// closing is the offset behind the bracket that closes the one at from, or 0.
// A quote opens a text only where a value may begin, and a comment needs a
// blank before it.
func closing(text []byte, from int) int {
	depth := 0
	for i := from; i < len(text); i++ {
		switch c := text[i]; {
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case (c == '"' || c == '\'') && i > 0 && strings.IndexByte(" \t\r\n{[,:", text[i-1]) >= 0:
			end := quoteEnd(text, i)
			if end == 0 {
				return 0
			}
			i = end - 1
		case c == '#' && i > 0 && strings.IndexByte(" \t\r\n", text[i-1]) >= 0:
			next := bytes.IndexByte(text[i:], '\n')
			if next < 0 {
				return 0
			}
			i += next
		}
	}
	return 0
}

// inline writes a value on one line so that it can stand in a flow collection
// too, every text in double quotes when its neighbours are.
func (e editor) inline(v *yaml.Node, quoted bool) (string, error) {
	if quoted {
		doubleQuote(v)
	}
	text, err := render("x", flow(&yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{v}}))
	return strings.TrimSuffix(strings.TrimPrefix(text, "x: ["), "]"), err
}

func doubleQuote(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Tag == tagString {
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, c := range n.Content {
		doubleQuote(c)
	}
}

// addFlow puts a new entry behind the last one of {...}.
func (e editor) addFlow(at *yaml.Node, path []string, v *yaml.Node) ([]byte, error) {
	from, to, ok := e.extent(at)
	if !ok {
		return nil, errAt(at)
	}
	outer := flow(mapping())
	key, val := nest(path, v)
	if val.Kind != yaml.ScalarNode {
		val.Style = yaml.FlowStyle
	}
	put(outer, key, val)
	text, err := e.inline(outer, e.text[0] == '{' || len(at.Content) > 0 && isQuoted(at.Content[0]))
	if err != nil {
		return nil, err
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
	if len(at.Content) == 0 {
		return e.splice(from+1, to-1, text), nil
	}
	_, end, ok := e.extent(at.Content[len(at.Content)-1])
	if !ok {
		return nil, errAt(at)
	}
	return e.splice(end, end, ", "+text), nil
}

// removeFlow takes an entry out of {...}, with one of the commas beside it.
func (e editor) removeFlow(en entry) ([]byte, error) {
	from := e.offset(en.key)
	if next := 2*en.index + 2; next < len(en.in.Content) {
		return e.splice(from, e.offset(en.in.Content[next]), ""), nil
	}
	_, to, ok := e.extent(en.val)
	if ok && en.index > 0 {
		_, from, ok = e.extent(en.in.Content[2*en.index-1])
	}
	if !ok {
		return nil, errAt(en.key)
	}
	return e.splice(from, to, ""), nil
}
