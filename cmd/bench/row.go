package main

import (
	"context"
	"time"
)

// sample is what one measurement gave: values by the name of their line.
type sample map[string][]float64

// row is one workload.
type row struct {
	name string
	// lines are what the table shows of it.
	lines []line
	// once: another round would tell the same.
	once bool
	// fill makes what is there before anything is launched.
	fill func(ctx context.Context, r *rig) error
	// bound is how long to wait for equality, if less than the option's.
	bound time.Duration
	// cold: measure launches the master itself.
	cold bool
	// measure does the work and returns once all slaves are equal.
	measure func(ctx context.Context, r *rig, s side) (sample, error)
}

// line is one line of the table.
type line struct {
	key    string // of the sample
	title  string
	unit   string
	sum    func([]float64) float64
	wanted wanted
}

// wanted is a bound for ours: a factor of another column, or a number.
type wanted struct {
	factor float64
	of     string // "" for none
}

// reach returns the bound, given the other columns' values.
func (w wanted) bound(values map[string]float64) (float64, bool) {
	if w.of == "" {
		return w.factor, w.factor > 0
	}
	v, ok := values[w.of]
	return w.factor * v, ok
}

// rows are all workloads that are measured side by side, in order.
func rows() []row {
	return []row{
		latencyRow(), burstRow(), rewritesRow(), busyRow(), removeRow(), renameRow(), largeRow(),
		startRow(), memoryRow(), idleRow(),
	}
}

// livingRows are about processes that are there all the time, which rsync by
// hand is not.
func livingRows() []string { return []string{"start", "memory", "idle"} }
