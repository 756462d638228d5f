package sersync

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"syncagent/agent/config"
)

// place is a line of a file.
type place struct {
	file string
	line int
}

// Import is what files came to.
type Import struct {
	Master   *config.Master
	Findings []Finding
	files    []string
	places   map[string]place // by the dotted key of the configuration
}

// Place returns the faults of the configuration as such of the files it came from,
// and any other error as it is.
func (i Import) Place(err error) error {
	var faults config.Faults
	if !errors.As(err, &faults) {
		return err
	}
	placed := make(config.Faults, len(faults))
	for n, f := range faults {
		placed[n] = i.placed(f)
	}
	return placed
}

// placed puts a fault at what came to its key, or to the nearest one above it.
func (i Import) placed(f *config.Fault) *config.Fault {
	at := place{file: strings.Join(i.files, ", ")}
	for key := f.Key; key != ""; key = key[:max(strings.LastIndexByte(key, '.'), 0)] {
		if p, ok := i.places[key]; ok {
			at = p
			break
		}
	}
	problem := f.Problem
	if f.Key != "" {
		problem = fmt.Sprintf("comes to %s: %s", f.Key, f.Problem)
	}
	return &config.Fault{File: at.file, Line: at.line, Problem: problem, Hint: f.Hint}
}

// valid tells what is wrong with the configuration, whatever the machine.
func valid(m *config.Master) error {
	text, err := m.Encode()
	if err != nil {
		return err
	}
	again, err := config.DecodeMaster("agent.yaml", text)
	if err != nil {
		return err
	}
	return again.Validate(nil)
}

// check makes sure that the files come to a valid configuration. A second localpath
// that cannot be had beside the others is left out: the original never read it.
func (b *builder) check() error {
	for {
		err := valid(b.master)
		var faults config.Faults
		if err == nil || !errors.As(err, &faults) {
			return err
		}
		if !b.leaveOut(faults) {
			return b.Place(err)
		}
	}
}

// leaveOut removes a module of a second localpath that one of the faults is about.
func (b *builder) leaveOut(faults config.Faults) bool {
	for _, name := range slices.Sorted(maps.Keys(b.second)) {
		key := "modules." + name
		for _, f := range faults {
			if f.Key != key && !strings.HasPrefix(f.Key, key+".") && !slices.Contains(strings.Fields(f.Problem), key) {
				continue
			}
			b.leave(name, f.Problem+"; "+f.Hint)
			return true
		}
	}
	return false
}

// leave takes the module of a second localpath away, and says why.
func (b *builder) leave(name, why string) {
	at := b.places["modules."+name]
	b.Findings = slices.DeleteFunc(b.Findings, func(f Finding) bool { // that it is a module
		return f.File == at.file && f.Line == at.line && f.Kind == Changed && f.What == b.second[name]
	})
	b.Findings = append(b.Findings, Finding{
		File: at.file, Line: at.line, Kind: Warning, What: b.second[name], Becomes: leftOut, Why: why,
	})
	delete(b.second, name)
	b.master.ModuleSpecs = slices.DeleteFunc(b.master.ModuleSpecs, func(m config.ModuleSpec) bool { return m.Name == name })
	b.prune()
}

// leftOut is what becomes of a second localpath that cannot be had.
const leftOut = "left out, as sersync left it out, which read the first one alone"

// prune takes the targets away that no module has.
func (b *builder) prune() {
	b.master.TargetSpecs = slices.DeleteFunc(b.master.TargetSpecs, func(t config.TargetSpec) bool {
		return !slices.ContainsFunc(b.master.ModuleSpecs, func(m config.ModuleSpec) bool {
			return slices.ContainsFunc(m.Targets, func(d config.ModuleDest) bool { return d.Target == t.Name })
		})
	})
}
