package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// maxFaults bounds what is reported of one file; whoever has more fixes these
// first.
const maxFaults = 50

// Fault is one mistake in a configuration.
type Fault struct {
	File    string // as given; "" when the value did not come from a file
	Line    int    // from 1; 0 when unknown
	Key     string // dotted, "" for the file as a whole
	Problem string
	Hint    string // what to do
}

// Error returns one line: file:line: key: problem: hint.
func (f *Fault) Error() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(printable(f.File))
		if f.Line > 0 {
			b.WriteString(":" + strconv.Itoa(f.Line))
		}
		b.WriteString(": ")
	}
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Problem)
	if f.Hint != "" {
		b.WriteString(": " + f.Hint)
	}
	return b.String()
}

// Faults are all mistakes found, in the order of lines.
type Faults []*Fault

// Error returns one line a fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives each fault to errors.As.
func (f Faults) Unwrap() []error {
	errs := make([]error, len(f))
	for i, fault := range f {
		errs[i] = fault
	}
	return errs
}

// err sorts the faults and returns them, or nil when there are none: an empty
// Faults in an error would not be nil.
func (f Faults) err() error {
	if len(f) == 0 {
		return nil
	}
	slices.SortStableFunc(f, func(a, b *Fault) int { return cmp.Compare(a.Line, b.Line) })
	if len(f) > maxFaults {
		more := strconv.Itoa(len(f) - maxFaults)
		f = append(f[:maxFaults:maxFaults], &Fault{File: f[0].File, Problem: more + " more mistakes", Hint: "mend these first"})
	}
	return f
}

// problem is what a single value can say about itself.
type problem struct{ text, hint string }

// origin remembers where values came from, so that faults found later can say
// so.
type origin struct {
	file  string
	lines map[string]int  // by dotted key
	set   map[string]bool // dotted keys that Set changed since
}

// fault places p at key; a key that is not in the file is reported at the
// nearest one above it that is.
func (o *origin) fault(key string, p problem) *Fault {
	f := &Fault{File: o.file, Key: key, Problem: p.text, Hint: p.hint}
	if o.set[key] {
		f.File = ""
		return f
	}
	for at := key; f.Line == 0 && at != ""; {
		f.Line = o.lines[at]
		at = at[:max(strings.LastIndexByte(at, '.'), 0)]
	}
	return f
}

func (o *origin) noteSet(key string) {
	if o.set == nil {
		o.set = map[string]bool{}
	}
	o.set[key] = true
}

// quote makes text fit for one line of an error.
func quote(text string) string {
	const most = 80
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strconv.Quote(text)
}

// printable leaves plain names as they are and quotes what could break a line.
func printable(name string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	if name == "" || len(name) > 255 || strings.IndexFunc(name, odd) >= 0 {
		return quote(name)
	}
	return name
}
