package main

import (
	"math"
	"slices"
)

// median of no values is not a number.
func median(v []float64) float64 { return percentile(v, 50) }

// percentile interpolates between the two nearest ranks.
func percentile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	at := p / 100 * float64(len(s)-1)
	low := int(at)
	if low+1 == len(s) {
		return s[low]
	}
	return s[low] + (at-float64(low))*(s[low+1]-s[low])
}

func p50(v []float64) float64 { return percentile(v, 50) }
func p99(v []float64) float64 { return percentile(v, 99) }
