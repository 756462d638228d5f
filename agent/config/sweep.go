package config

import "slices"

// withSweepRules adds to the settings of a module what only modules have among
// those of sweep: rules are about the paths of one tree.
func withSweepRules(settings []field, m *ModuleSpec) []field {
	list := slices.Clone(settings)
	for i, f := range list {
		if f.name == "sweep" {
			list[i].sub = append(slices.Clip(f.sub), sweepRules(m)...)
		}
	}
	return list
}

func sweepRules(m *ModuleSpec) []field {
	return []field{
		{name: "filter", doc: "rules like those of filter; sweeps by schedule leave out what they exclude", list: &listField{p: &m.SweepFilter, check: filterRule}},
	}
}
