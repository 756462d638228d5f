package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Encode returns the canonical YAML: every key in its fixed order, defaults
// included, comments not. Decoding it gives the same configuration.
func (m *Master) Encode() ([]byte, error) { return encode(masterFields(m)) }

// Encode returns the canonical YAML; see Master.Encode.
func (r *Receiver) Encode() ([]byte, error) { return encode(receiverFields(r)) }

func encode(fields []field) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(encodeFields(fields)); err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	return b.Bytes(), nil
}

func encodeFields(fields []field) *yaml.Node {
	n := mapping()
	for _, f := range fields {
		if v := encodeField(f); v != nil {
			put(n, f.name, v)
		}
	}
	return n
}

func encodeField(f field) *yaml.Node {
	switch {
	case f.custom != nil:
		return f.custom.encode()
	case f.list != nil && f.list.rare && len(*f.list.p) == 0:
		return nil
	case f.list != nil:
		return encodeList(*f.list.p)
	case f.val != nil && (f.sub == nil || isOff(f.val.text())):
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: f.tag, Value: f.val.text()}
	}
	n := encodeFields(f.sub)
	n.Style = yaml.FlowStyle
	return n
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

func flow(n *yaml.Node) *yaml.Node {
	n.Style = yaml.FlowStyle
	return n
}

func put(n *yaml.Node, key string, v *yaml.Node) {
	n.Content = append(n.Content, stringNode(key), v)
}

func stringNode(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tagString, Value: text}
}

func encodeList(items []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
	for _, item := range items {
		n.Content = append(n.Content, stringNode(item))
	}
	return n
}

func encodeTargets(targets []TargetSpec) *yaml.Node {
	n := mapping()
	for _, t := range targets {
		put(n, t.Name, flow(dropEmpty(encodeFields(targetFields(&t)))))
	}
	return n
}

// dropEmpty removes empty texts, lists and mappings and a port of 0, which mean
// the same as a key left out.
func dropEmpty(n *yaml.Node) *yaml.Node {
	kept := n.Content[:0]
	for i := 0; i < len(n.Content); i += 2 {
		v := n.Content[i+1]
		if v.Kind == yaml.MappingNode {
			dropEmpty(v)
		}
		if v.Kind != yaml.ScalarNode && len(v.Content) == 0 || v.Kind == yaml.ScalarNode && v.Value == "" || n.Content[i].Value == "port" && v.Value == "0" {
			continue
		}
		kept = append(kept, n.Content[i], v)
	}
	n.Content = kept
	return n
}

// withoutBackups leaves out what says nothing where no backups are kept.
func withoutBackups(fields []field, dir string) []field {
	if dir != "" {
		return fields
	}
	return slices.DeleteFunc(fields, func(f field) bool { return strings.HasPrefix(f.name, "backup_") })
}

func encodeModules(modules []ModuleSpec) *yaml.Node {
	n := mapping()
	for _, m := range modules {
		one := encodeFields(withoutBackups(moduleFields(&m), m.BackupDir))
		scratch := defaultSettings()
		put(n, m.Name, encodeOverrides(one, "", withSweepRules(settingsFields(&scratch), &m), m.Overrides))
	}
	return n
}

// encodeOverrides adds the fields that are overridden to n; they are bound to
// values nobody reads.
func encodeOverrides(n *yaml.Node, prefix string, fields []field, over map[string]string) *yaml.Node {
	for _, f := range fields {
		if f.list != nil && len(*f.list.p) > 0 {
			put(n, f.name, encodeList(*f.list.p))
			continue
		}
		text, set := over[prefix+f.name]
		if f.val != nil && set && (f.sub == nil || isOff(text)) {
			if f.val.set(text) == nil {
				text = f.val.text()
			}
			put(n, f.name, &yaml.Node{Kind: yaml.ScalarNode, Tag: f.tag, Value: text})
			continue
		}
		sub := flow(encodeOverrides(mapping(), prefix+f.name+".", f.sub, over))
		if len(sub.Content) > 0 || set {
			put(n, f.name, sub)
		}
	}
	return n
}

func encodeDests(dests []ModuleDest) *yaml.Node {
	if dests == nil {
		return nil
	}
	n := encodeList(nil)
	for _, d := range dests {
		if d.Module == "" && d.Dir == "" {
			n.Content = append(n.Content, stringNode(d.Target))
			continue
		}
		n.Content = append(n.Content, dropEmpty(encodeFields(destFields(&d))))
	}
	return n
}

func encodeReceived(modules []ReceiverModule) *yaml.Node {
	n := mapping()
	for _, m := range modules {
		put(n, m.Name, flow(dropEmpty(encodeFields(withoutBackups(receivedFields(&m), m.BackupDir)))))
	}
	return n
}
