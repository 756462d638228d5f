package config

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
	"go.yaml.in/yaml/v3"
)

// parseTOML builds the tree a YAML file of the same content would have. The
// strict decoder checks the syntax and what may stand twice; the parser below
// it then gives the lines.
func parseTOML(data []byte) (*yaml.Node, *Fault) {
	var whole map[string]any
	if err := toml.Unmarshal(data, &whole); err != nil {
		return nil, tomlFault(err)
	}
	b := tomlBuilder{data: data, root: emptyMap(), tables: map[place]*yaml.Node{}}
	b.parser.Reset(data)
	for table := b.root; b.parser.NextExpression(); {
		switch e := b.parser.Expression(); e.Kind {
		case unstable.Table:
			table = b.table(e.Key(), false)
		case unstable.ArrayTable:
			table = b.table(e.Key(), true)
		case unstable.KeyValue:
			b.keyValue(table, e)
		}
	}
	if err := b.parser.Error(); err != nil {
		return nil, tomlFault(err)
	}
	return b.root, nil
}

func tomlFault(err error) *Fault {
	f := &Fault{Problem: "unreadable TOML: " + err.Error(), Hint: "mend it there or just before"}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		f.Line, _ = bad.Position()
	}
	return f
}

// place is a key of a table.
type place struct {
	table *yaml.Node
	key   string
}

type tomlBuilder struct {
	data   []byte
	root   *yaml.Node
	tables map[place]*yaml.Node // made by headers and dotted keys
	parser unstable.Parser
	line   int // of the last key: a value has no place of its own
	at     int // offset up to which line ends have been counted
	seen   int // line ends before at
}

// table walks from the root to the table of a [header], making what is
// missing; a [[header]] adds an element to a list.
func (b *tomlBuilder) table(keys unstable.Iterator, array bool) *yaml.Node {
	at := b.root
	for keys.Next() {
		key := keys.Node()
		if array && keys.IsLast() {
			list := b.child(at, key, yaml.SequenceNode)
			at = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: b.line}
			list.Content = append(list.Content, at)
			continue
		}
		at = b.child(at, key, yaml.MappingNode)
	}
	return at
}

// child returns the value of key in the mapping n, made when it is missing. Of
// a list of tables it is the last one.
func (b *tomlBuilder) child(n *yaml.Node, key *unstable.Node, kind yaml.Kind) *yaml.Node {
	b.line = b.lineOf(key)
	if n.Kind == yaml.SequenceNode && len(n.Content) > 0 {
		n = n.Content[len(n.Content)-1]
	}
	v := b.tables[place{n, string(key.Data)}]
	switch {
	case v == nil:
		v = &yaml.Node{Kind: kind, Line: b.line}
		b.put(n, key, v)
		b.tables[place{n, string(key.Data)}] = v
	case kind == yaml.MappingNode && v.Kind == yaml.SequenceNode && len(v.Content) > 0:
		return v.Content[len(v.Content)-1]
	}
	return v
}

func (b *tomlBuilder) put(n *yaml.Node, key *unstable.Node, v *yaml.Node) {
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: tagString, Value: string(key.Data), Line: b.line}, v)
}

func (b *tomlBuilder) keyValue(table *yaml.Node, e *unstable.Node) {
	keys := e.Key()
	for keys.Next() {
		key := keys.Node()
		if !keys.IsLast() {
			table = b.child(table, key, yaml.MappingNode)
			continue
		}
		b.line = b.lineOf(key)
		b.put(table, key, b.value(e.Value()))
	}
}

func (b *tomlBuilder) value(v *unstable.Node) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: tagString, Value: string(v.Data), Line: b.line}
	switch v.Kind {
	case unstable.Array:
		n.Kind, n.Tag, n.Value = yaml.SequenceNode, "!!seq", ""
		for items := v.Children(); items.Next(); {
			n.Content = append(n.Content, b.value(items.Node()))
		}
	case unstable.InlineTable:
		n.Kind, n.Tag, n.Value = yaml.MappingNode, "!!map", ""
		for items := v.Children(); items.Next(); {
			b.keyValue(n, items.Node())
		}
	case unstable.Integer:
		// Other spellings of a number (0x10, 1_000) are read like its digits.
		if i, err := strconv.ParseInt(n.Value, 0, 64); err == nil {
			n.Value = strconv.FormatInt(i, 10)
		}
	}
	return n
}

// lineOf counts on from the key before: keys come in the order of the file.
func (b *tomlBuilder) lineOf(key *unstable.Node) int {
	at := min(int(key.Raw.Offset), len(b.data))
	if at < b.at {
		return b.line
	}
	b.seen += bytes.Count(b.data[b.at:at], []byte("\n"))
	b.at = at
	return 1 + b.seen
}
