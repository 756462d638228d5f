package sersync

import "fmt"

// Kind sorts findings.
type Kind string

const (
	// Changed means something else here than it did, on purpose.
	Changed Kind = "changed"
	// Unneeded has no effect here, and needs none.
	Unneeded Kind = "unneeded"
	// Warning was asked for and cannot be had.
	Warning Kind = "warning"
)

// Finding is one difference between a file and what it became.
type Finding struct {
	File    string `json:"file"`
	Line    int    `json:"line"` // from 1, 0 when it is about what is absent
	Kind    Kind   `json:"kind"`
	What    string `json:"what"`    // the element, attribute or option
	Becomes string `json:"becomes"` // in the configuration's words
	Why     string `json:"why"`
}

// String is the finding as one line.
func (f Finding) String() string {
	where := f.File
	if f.Line > 0 {
		where = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return fmt.Sprintf("%s: %s: %s: %s; %s", where, f.Kind, f.What, f.Becomes, f.Why)
}
