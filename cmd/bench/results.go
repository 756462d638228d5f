package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// results are all that was measured.
type results struct {
	kinds   []kind
	missing []string
	values  map[string]map[string][]float64 // by column, then by the key of a line
	never   map[string]map[string]int       // rounds that were never equal, by column, then by row
	errs    map[string]map[string]int       // rounds that failed otherwise
	first   map[string]error                // the first reason, by column and row
	curves  []curveResult
}

func newResults(list []kind, missing []string) *results {
	r := &results{
		kinds: list, missing: missing,
		values: map[string]map[string][]float64{},
		never:  map[string]map[string]int{}, errs: map[string]map[string]int{}, first: map[string]error{},
	}
	for _, k := range list {
		r.values[k.name], r.never[k.name], r.errs[k.name] = map[string][]float64{}, map[string]int{}, map[string]int{}
	}
	return r
}

func (r *results) add(column string, s sample) {
	for key, v := range s {
		r.values[column][key] = append(r.values[column][key], v...)
	}
}

func (r *results) failed(row row, column string, err error) {
	count := r.errs
	if errors.Is(err, errNever) {
		count = r.never
	}
	count[column][row.name]++
	if key := column + ", " + row.name; r.first[key] == nil {
		r.first[key] = err
	}
}

// value is what the table shows for a line and a column, not a number when
// there is none.
func (r *results) value(l line, column string) float64 { return l.sum(r.values[column][l.key]) }

// cell is the text of a field of the table.
func (r *results) cell(row row, l line, column string) string {
	v := r.value(l, column)
	never, errs := r.never[column][row.name], r.errs[column][row.name]
	switch {
	case math.IsNaN(v) && never > 0:
		return "never equal"
	case math.IsNaN(v) && errs > 0:
		return "failed"
	case math.IsNaN(v):
		return "-"
	case never > 0:
		return fmt.Sprintf("%s, but %d × never equal", number(v), never)
	}
	return number(v)
}

// ratio is a value over another one of the same line, "" when there is none.
func (r *results) ratio(l line, over, under string) string {
	a, b := r.value(l, over), r.value(l, under)
	if math.IsNaN(a) || math.IsNaN(b) || b == 0 {
		return ""
	}
	return number(a / b)
}

// wish says what ours must reach in a line, and whether it does. A round that
// failed is none that does.
func (r *results) wish(row row, l line) string {
	w := l.wanted
	if w.factor == 0 {
		return ""
	}
	values := map[string]float64{}
	for _, k := range r.kinds {
		if v := r.value(l, k.name); !math.IsNaN(v) {
			values[k.name] = v
		}
	}
	text := "≤ " + number(w.factor)
	if w.of != "" {
		text += " × " + w.of
	}
	bound, ok := w.bound(values)
	mine, measured := values[oursName]
	switch {
	case !ok || !measured:
		return text
	case mine <= bound && r.never[oursName][row.name]+r.errs[oursName][row.name] == 0:
		return text + ": yes"
	}
	return text + ": no"
}

// verdict is an error when ours was not always equal.
func (r *results) verdict() error {
	var errs []error
	for _, name := range rowNames() {
		if n := r.never[oursName][name] + r.errs[oursName][name]; n > 0 {
			errs = append(errs, fmt.Errorf("%s: ours failed in %d rounds: %w", name, n, r.first[oursName+", "+name]))
		}
	}
	return errors.Join(errs...)
}

// reasons lists why columns failed, in order.
func (r *results) reasons() []string {
	var list []string
	for key, err := range r.first {
		list = append(list, key+": "+oneLine(err))
	}
	slices.Sort(list)
	return list
}
