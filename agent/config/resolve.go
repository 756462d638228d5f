package config

import (
	"cmp"
	"fmt"
	"slices"

	"syncagent/agent/filter"
)

// Modules returns the modules with everything filled in: the settings of the
// top level with the module's own over them, compiled rules, and for each
// target where and how to log in. The error is Faults: a target that does not
// exist, a rule or an override that is wrong.
func (m *Master) Modules() ([]Module, error) {
	var faults Faults
	list := make([]Module, 0, len(m.ModuleSpecs))
	for _, spec := range m.ModuleSpecs {
		mod, bad := m.module(spec)
		faults = append(faults, bad...)
		list = append(list, mod)
	}
	if err := faults.err(); err != nil {
		return nil, err
	}
	return list, nil
}

// module resolves one module as far as it can.
func (m *Master) module(spec ModuleSpec) (Module, Faults) {
	key := join("modules", spec.Name)
	mod := Module{
		Name: spec.Name, Path: spec.Path, Delete: spec.Delete, Settings: m.Settings,
		BackupDir: spec.BackupDir, Events: spec.Events, Rsync: spec.Rsync, Hooks: spec.Hooks,
	}
	faults := m.override(key, &mod.Settings, spec.Overrides)
	var bad *Fault
	if mod.Rules, bad = m.rules(key, spec); bad != nil {
		faults = append(faults, bad)
	}
	mod.Filter = mod.Rules.Texts()
	if mod.SweepRules, bad = m.sweepRules(key, spec.SweepFilter); bad != nil {
		faults = append(faults, bad)
	}
	for _, dest := range spec.dests(m.TargetSpecs) {
		i := m.target(dest.Target)
		if i < 0 {
			faults = append(faults, m.unknownTarget(key, dest))
			continue
		}
		mod.Targets = append(mod.Targets, m.resolveTarget(spec, dest, m.TargetSpecs[i]))
	}
	return mod, faults
}

// rules compiles all that leaves something out of a module.
func (m *Master) rules(key string, spec ModuleSpec) (*filter.Rules, *Fault) {
	lines := slices.Clone(spec.rules())
	for _, name := range spec.FilterSets {
		lines = append(lines, filter.Set(name)...)
	}
	rules, err := filter.Compile(lines)
	if err != nil {
		return nil, m.origin.fault(key+".filter", problem{err.Error(), "mend the rule"})
	}
	if rules, err = rules.WithRegexps(spec.FilterRegex); err != nil {
		return nil, m.origin.fault(key+".filter_regex", problem{err.Error(), "mend the expression"})
	}
	return rules, nil
}

func (m *Master) sweepRules(key string, lines []string) (*filter.Rules, *Fault) {
	if len(lines) == 0 {
		return nil, nil
	}
	rules, err := filter.Compile(lines)
	if err != nil {
		return nil, m.origin.fault(key+".sweep.filter", problem{err.Error(), "mend the rule"})
	}
	return rules, nil
}

func (m *Master) override(key string, s *Settings, over map[string]string) Faults {
	var faults Faults
	fields := settingsFields(s)
	left := len(over)
	for _, k := range keysOf("", fields) {
		value, ok := over[k.Name]
		if !ok {
			continue
		}
		left--
		f, _ := find(fields, k.Name)
		if bad := setField(f, value); bad != nil {
			faults = append(faults, m.origin.fault(join(key, k.Name), *bad))
		}
	}
	if left > 0 {
		faults = append(faults, m.origin.fault(key, problem{"overrides a key that does not exist", "see Keys"}))
	}
	return faults
}

// dests returns where the module goes: every target unless said.
func (spec ModuleSpec) dests(targets []TargetSpec) []ModuleDest {
	if spec.Targets != nil {
		return spec.Targets
	}
	list := make([]ModuleDest, len(targets))
	for i, t := range targets {
		list[i].Target = t.Name
	}
	return list
}

// nowhere reports whether the module has no target on purpose: then its changes
// go to its hooks alone.
func (spec ModuleSpec) nowhere() bool { return spec.Targets != nil && len(spec.Targets) == 0 }

// OnlyHooks reports whether no module goes anywhere, so that rsync has nothing
// to do.
func (m *Master) OnlyHooks() bool {
	return len(m.ModuleSpecs) > 0 && !slices.ContainsFunc(m.ModuleSpecs, func(s ModuleSpec) bool { return !s.nowhere() })
}

// rules are the filter with what keeps the backups out of it: they are neither
// sent nor deleted, whatever the user's own rules say.
func (spec ModuleSpec) rules() []string {
	if spec.BackupDir == "" {
		return spec.Filter
	}
	return append([]string{"- /" + spec.BackupDir}, spec.Filter...)
}

// target returns the index of the target called name, or -1.
func (m *Master) target(name string) int {
	for i, t := range m.TargetSpecs {
		if t.Name == name {
			return i
		}
	}
	return -1
}

func (m *Master) resolveTarget(module ModuleSpec, dest ModuleDest, spec TargetSpec) Target {
	t := Target{
		Name: spec.Name, Host: spec.Host, Port: spec.Port, Module: dest.Module, Dir: dest.Dir,
		Auth: spec.Auth, Bwlimit: spec.Bwlimit, Wire: spec.Wire, Transport: TransportDaemon,
	}
	if t.Module == "" {
		t.Module = module.Name
	}
	if t.Auth.Off || spec.Auth == (Auth{}) && m.Auth.Off {
		t.Auth = Auth{Off: true}
	} else {
		t.Auth.User = cmp.Or(t.Auth.User, m.Auth.User)
		t.Auth.PasswordFile = cmp.Or(t.Auth.PasswordFile, m.Auth.PasswordFile)
	}
	if cmp.Or(module.Transport, spec.Transport) == TransportSSH {
		m.overSSH(&t, spec.SSH, module.Path)
	}
	return t
}

func (m *Master) unknownTarget(key string, dest ModuleDest) *Fault {
	known := make([]string, len(m.TargetSpecs))
	for i, t := range m.TargetSpecs {
		known[i] = t.Name
	}
	f := m.origin.fault(key+".targets."+printable(dest.Target), problem{fmt.Sprintf("there is no target %s", quote(dest.Target)), Suggest(dest.Target, known)})
	f.Key = key + ".targets"
	return f
}

// SweepAtStart has every module swept when the agent starts, whatever the file
// says.
func (m *Master) SweepAtStart() {
	m.Sweep.AtStart = true
	for _, spec := range m.ModuleSpecs {
		if _, ok := spec.Overrides["sweep.at_start"]; ok {
			spec.Overrides["sweep.at_start"] = "true"
		}
	}
}
