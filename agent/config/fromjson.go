package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// maxNesting is deeper than any configuration goes.
const maxNesting = 20

// FromJSON writes a JSON object as the YAML a person would write, with the keys
// in their order. It judges nothing: the result is still to be decoded.
func FromJSON(data []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	n, err := jsonNode(d, 0)
	if err != nil {
		return nil, err
	}
	if n.Kind != yaml.MappingNode {
		return nil, errors.New("write a mapping")
	}
	n.Style = 0
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	return b.Bytes(), enc.Close()
}

// jsonNode reads one value. What lies three levels deep, a target or a setting
// of a module, is written on one line.
func jsonNode(d *json.Decoder, depth int) (*yaml.Node, error) {
	if depth > maxNesting {
		return nil, errors.New("it is nested too deeply")
	}
	t, err := d.Token()
	if err != nil {
		return nil, errors.New("it is not JSON")
	}
	switch t := t.(type) {
	case json.Delim:
		return jsonCollection(d, t, depth)
	case string:
		return stringNode(t), nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: t.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tagBool, Value: fmt.Sprint(t)}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}

func jsonCollection(d *json.Decoder, open json.Delim, depth int) (*yaml.Node, error) {
	n := mapping()
	if open == '[' {
		n = encodeList(nil)
	}
	for d.More() {
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return nil, errors.New("it is not JSON")
			}
			n.Content = append(n.Content, stringNode(fmt.Sprint(key)))
		}
		v, err := jsonNode(d, depth+1)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("it is not JSON")
	}
	if depth >= 2 || open == '{' && depth == 1 && allScalars(n) {
		n.Style = yaml.FlowStyle
	}
	return n, nil
}

func allScalars(n *yaml.Node) bool {
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode {
			return false
		}
	}
	return true
}
