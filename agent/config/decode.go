package config

import (
	"fmt"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// maxNodes bounds the work that aliases can multiply.
const maxNodes = 200_000

// listField is a list of scalars.
type listField struct {
	p     *[]string
	check check
	rare  bool // not written while it is empty
}

// customField decodes and encodes what the table cannot say. A nil node from
// encode leaves the key out.
type customField struct {
	decode func(d *decoder, key string, n *yaml.Node)
	encode func() *yaml.Node
}

// decoder walks a tree along the table of fields and collects faults.
type decoder struct {
	origin origin
	faults Faults
	nodes  int
	lost   int // keys that were not understood
}

// ReadMaster reads and decodes an agent.yaml; see DecodeMaster.
func ReadMaster(file string) (*Master, error) {
	data, err := readFile(file, RoleMaster)
	if err != nil {
		return nil, err
	}
	return DecodeMaster(file, data)
}

// DecodeMaster decodes an agent.yaml, strictly: the error is Faults, one for
// each mistake. The name is for messages, and its ending (.toml, .json, else
// YAML) says how to read data.
func DecodeMaster(name string, data []byte) (*Master, error) {
	m := NewMaster()
	origin, err := decode(name, data, masterFields(m))
	if err != nil {
		return nil, err
	}
	m.origin = origin
	return m, nil
}

// ReadReceiver reads and decodes a receiver.yaml; see DecodeMaster.
func ReadReceiver(file string) (*Receiver, error) {
	data, err := readFile(file, RoleSlave)
	if err != nil {
		return nil, err
	}
	return DecodeReceiver(file, data)
}

// DecodeReceiver decodes a receiver.yaml as DecodeMaster does an agent.yaml.
func DecodeReceiver(name string, data []byte) (*Receiver, error) {
	r := NewReceiver()
	origin, err := decode(name, data, receiverFields(r))
	if err != nil {
		return nil, err
	}
	r.origin = origin
	return r, nil
}

func decode(name string, data []byte, fields []field) (origin, error) {
	root, err := parse(name, data)
	if err != nil {
		return origin{}, err
	}
	d := &decoder{origin: origin{file: name, lines: map[string]int{}}}
	if other := otherRole(root, fields); other != "" {
		d.fault("", root, problem{"this is the configuration of the other role", other})
		return d.origin, d.faults.err()
	}
	d.fields("", root, fields)
	if len(root.Content) == 0 && len(d.faults) == 0 {
		d.fault("", root, problem{"nothing is configured", "agent init writes this file"})
	}
	return d.origin, d.faults.err()
}

// otherRole tells a file that was written for the other role by the key that
// only that one has and needs, "" when it is not one.
func otherRole(root *yaml.Node, fields []field) string {
	foreign, remedy := "targets", "name a receiver.yaml, or use it with agent run"
	if slices.Contains(names(fields), foreign) {
		foreign, remedy = "allow", "name an agent.yaml, or use it with agent receiver"
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == foreign {
			return remedy
		}
	}
	return ""
}

func (d *decoder) fault(key string, n *yaml.Node, p problem) {
	d.faults = append(d.faults, &Fault{File: d.origin.file, Line: n.Line, Key: key, Problem: p.text, Hint: p.hint})
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// pair is one entry of a mapping whose key is a plain name.
type pair struct {
	name     string
	key, val *yaml.Node
}

// pairs checks that n is a mapping and returns its entries without those whose
// key is unusable or stands there twice.
func (d *decoder) pairs(key string, n *yaml.Node) []pair {
	n = resolve(n)
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.fault(key, n, problem{"must be a mapping, not " + kindOf(n), "write key: value lines below it"})
		return nil
	}
	var list []pair
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content) && d.spend(key, n); i += 2 {
		p := pair{key: n.Content[i], val: n.Content[i+1]}
		p.name = p.key.Value
		full := join(key, p.name)
		switch first := seen[p.name]; {
		case p.key.Kind != yaml.ScalarNode || p.name == "":
			d.fault(key, p.key, problem{"a key must be one plain word", "write key: value"})
		case p.name == "<<" && p.key.Tag == "!!merge":
			d.lost++
			d.fault(key, p.key, problem{"merge keys are not read", "write the keys out"})
		case first != 0:
			d.fault(full, p.key, problem{"stands in line " + strconv.Itoa(first) + " already", "remove one of the two"})
		default:
			seen[p.name] = p.key.Line
			d.origin.lines[full] = p.key.Line
			list = append(list, p)
		}
	}
	return list
}

// spend counts a node and stops the walk when aliases have made a small file
// huge.
func (d *decoder) spend(key string, n *yaml.Node) bool {
	if d.nodes++; d.nodes == maxNodes {
		d.fault(key, n, problem{fmt.Sprintf("more than %d entries", maxNodes), "write a smaller file, without aliases of aliases"})
	}
	return d.nodes < maxNodes
}

func join(key, name string) string {
	if name = printable(name); key == "" {
		return name
	}
	return key + "." + name
}

func (d *decoder) fields(key string, n *yaml.Node, fields []field) {
	for _, p := range d.pairs(key, n) {
		full := join(key, p.name)
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == p.name })
		if i < 0 {
			d.lost++
			d.fault(full, p.key, problem{"unknown key", Suggest(p.name, names(fields))})
			continue
		}
		d.field(full, p.val, fields[i])
	}
}

func names(fields []field) []string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.name
	}
	return list
}

func (d *decoder) field(key string, n *yaml.Node, f field) {
	n = resolve(n)
	switch {
	case f.custom != nil:
		f.custom.decode(d, key, n)
	case f.list != nil:
		d.list(key, n, f.list)
	case f.val != nil && (f.sub == nil || n.Kind == yaml.ScalarNode && !isNull(n)):
		d.scalar(key, n, f.val)
	case f.val != nil:
		if bad := f.val.set("on"); bad != nil {
			d.fault(key, n, *bad)
		}
		d.fields(key, n, f.sub)
	default:
		d.fields(key, n, f.sub)
	}
}

func (d *decoder) scalar(key string, n *yaml.Node, v value) {
	if text, ok := d.text(key, n); ok {
		if bad := v.set(text); bad != nil {
			d.fault(key, n, *bad)
		}
	}
}

// text returns a scalar as it stands in the file.
func (d *decoder) text(key string, n *yaml.Node) (string, bool) {
	n = resolve(n)
	switch {
	case n.Kind != yaml.ScalarNode:
		d.fault(key, n, problem{"must be one value, not " + kindOf(n), "write key: value"})
	case isNull(n):
		d.fault(key, n, problem{"no value", "write one, or remove the key"})
	case n.Style&yaml.TaggedStyle != 0:
		d.fault(key, n, problem{"tags are not read", "remove " + printable(n.Tag)})
	default:
		return n.Value, true
	}
	return "", false
}

func (d *decoder) list(key string, n *yaml.Node, f *listField) {
	if isNull(n) {
		*f.p = nil
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.fault(key, n, problem{"must be a list, not " + kindOf(n), "write [a, b], or a line of - a for each"})
		return
	}
	items := []string{}
	for _, item := range n.Content {
		if !d.spend(key, item) {
			return
		}
		text, ok := d.text(key, item)
		if !ok {
			continue
		}
		text, bad := f.check(text)
		if bad != nil {
			d.fault(key, item, *bad)
			continue
		}
		items = append(items, text)
	}
	*f.p = items
}

// isNull is true for what YAML calls null: nothing, ~ or null without quotes.
func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// kindOnly is kindOf where a password may stand.
func kindOnly(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && !isNull(n) {
		return "a single value"
	}
	return kindOf(n)
}

func kindOf(n *yaml.Node) string {
	switch {
	case isNull(n):
		return "nothing"
	case n.Kind == yaml.ScalarNode:
		return quote(n.Value)
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	}
	return "an alias"
}
