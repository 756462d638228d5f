package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"syncagent/agent/filter"
)

// The parts of the files whose keys are names the user chose.

func targetsField(m *Master) *customField {
	return &customField{
		decode: func(d *decoder, key string, n *yaml.Node) {
			for _, p := range d.pairs(key, n) {
				t, full := TargetSpec{Name: p.name, Port: DefaultPort}, join(key, p.name)
				d.name(full, p.key, checkTarget)
				d.entry(full, p.val, targetFields(&t), "host", "write host: and the slave's name or address")
				m.TargetSpecs = append(m.TargetSpecs, t)
			}
		},
		encode: func() *yaml.Node { return encodeTargets(m.TargetSpecs) },
	}
}

func (d *decoder) name(key string, n *yaml.Node, check func(string) *problem) {
	if bad := check(n.Value); bad != nil {
		d.fault(key, n, *bad)
	}
}

// entry decodes one entry of targets or modules, whose key needed must not be
// left out. A key that was not understood may well be that one.
func (d *decoder) entry(key string, n *yaml.Node, fields []field, needed, hint string) {
	lost := d.lost
	d.fields(key, n, fields)
	n = resolve(n)
	if _, ok := d.origin.lines[join(key, needed)]; !ok && d.lost == lost && (n.Kind == yaml.MappingNode || isNull(n)) {
		d.fault(join(key, needed), n, problem{"is missing", hint})
	}
}

func modulesField(m *Master) *customField {
	return &customField{
		decode: func(d *decoder, key string, n *yaml.Node) {
			for _, p := range d.pairs(key, n) {
				m.ModuleSpecs = append(m.ModuleSpecs, d.module(join(key, p.name), p))
			}
		},
		encode: func() *yaml.Node { return encodeModules(m.ModuleSpecs) },
	}
}

func (d *decoder) module(key string, p pair) ModuleSpec {
	m := NewModule(p.name, "")
	d.name(key, p.key, checkName)
	scratch := defaultSettings()
	overrides := withSweepRules(recorded("", settingsFields(&scratch), m.Overrides), &m)
	d.entry(key, p.val, slices.Concat(moduleFields(&m), overrides), "path", "write path: and the absolute path of the tree")
	if len(m.Overrides) == 0 {
		m.Overrides = nil
	}
	return m
}

// NewModule returns a module with its defaults.
func NewModule(name, path string) ModuleSpec {
	return ModuleSpec{Name: name, Path: path, Delete: true, Rsync: defaultRsync(), Overrides: map[string]string{}}
}

// recorded wraps fields so that what is set is noted under its dotted key.
func recorded(prefix string, fields []field, into map[string]string) []field {
	list := slices.Clone(fields)
	for i, f := range fields {
		key := strings.TrimPrefix(prefix+"."+f.name, ".")
		list[i].sub = recorded(key, f.sub, into)
		if f.val == nil {
			continue
		}
		list[i].val = bound{get: f.val.text, put: func(text string) *problem {
			bad := f.val.set(text)
			if bad == nil {
				into[key] = f.val.text()
			}
			return bad
		}}
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// destsField is a module's list of targets: a name, or a mapping.
func destsField(m *ModuleSpec) *customField {
	return &customField{
		decode: func(d *decoder, key string, n *yaml.Node) {
			if n.Kind != yaml.SequenceNode {
				d.fault(key, n, problem{"must be a list, not " + kindOf(n), "write [s1, s2], or leave the key out for all targets"})
				return
			}
			m.Targets = []ModuleDest{}
			for _, item := range n.Content {
				if !d.spend(key, item) {
					return
				}
				if dest, ok := d.dest(key, resolve(item)); ok {
					d.origin.lines[join(key, dest.Target)] = item.Line
					m.Targets = append(m.Targets, dest)
				}
			}
		},
		encode: func() *yaml.Node { return encodeDests(m.Targets) },
	}
}

func (d *decoder) dest(key string, n *yaml.Node) (ModuleDest, bool) {
	if n.Kind != yaml.MappingNode {
		name, ok := d.text(key, n)
		return ModuleDest{Target: name}, ok
	}
	var dest ModuleDest
	// The entries of a list share their keys, so each has its own lines.
	sub := &decoder{origin: origin{file: d.origin.file, lines: map[string]int{}}, nodes: d.nodes}
	sub.fields(key, n, destFields(&dest))
	d.faults, d.nodes = append(d.faults, sub.faults...), sub.nodes
	if dest.Target == "" {
		d.fault(key, n, problem{"an entry has no target", "write {target: NAME, module: M, path: DIR}"})
	}
	return dest, dest.Target != ""
}

func receivedField(r *Receiver) *customField {
	return &customField{
		decode: func(d *decoder, key string, n *yaml.Node) {
			for _, p := range d.pairs(key, n) {
				m, full := NewReceiverModule(p.name, ""), join(key, p.name)
				d.name(full, p.key, checkName)
				d.entry(full, p.val, receivedFields(&m), "path", "write path: and the absolute path of the directory")
				r.Modules = append(r.Modules, m)
			}
		},
		encode: func() *yaml.Node { return encodeReceived(r.Modules) },
	}
}

// NewReceiverModule returns a module with its defaults.
func NewReceiverModule(name, path string) ReceiverModule {
	return ReceiverModule{Name: name, Path: path, UID: "root", GID: "root", Chroot: true, BackupKeep: 30 * Day}
}

// filterRule compiles one rule alone, so that a fault has its line.
func filterRule(text string) (string, *problem) {
	if _, bad := anyText(text); bad != nil {
		return "", bad
	}
	if _, err := filter.Compile([]string{text}); err != nil {
		return "", ruleProblem("filter rule", text, err)
	}
	return text, nil
}

// filterRegex compiles one expression alone, so that a fault has its line.
func filterRegex(text string) (string, *problem) {
	if _, bad := anyText(text); bad != nil {
		return "", bad
	}
	var none *filter.Rules
	if _, err := none.WithRegexps([]string{text}); err != nil {
		return "", ruleProblem("expression", text, err)
	}
	return text, nil
}
