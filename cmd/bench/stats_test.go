package main

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPercentile(t *testing.T) {
	for _, tt := range []struct {
		values  []float64
		p, want float64
	}{
		{[]float64{7}, 50, 7},
		{[]float64{7}, 99, 7},
		{[]float64{3, 1, 2}, 50, 2},
		{[]float64{4, 1, 2, 3}, 50, 2.5},
		{[]float64{0, 100}, 99, 99},
		{[]float64{1, 2, 3}, 100, 3},
		{[]float64{1, 2, 3}, 0, 1},
	} {
		if got := percentile(tt.values, tt.p); got != tt.want {
			t.Errorf("percentile(%v, %v) = %v, want %v", tt.values, tt.p, got, tt.want)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v", got)
	}
}

func TestPercentileLiesBetween(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 50).Draw(t, "values")
		before := slices.Clone(v)
		p := rapid.Float64Range(0, 100).Draw(t, "p")
		got := percentile(v, p)
		if got < slices.Min(v) || got > slices.Max(v) {
			t.Fatalf("percentile(%v, %v) = %v", v, p, got)
		}
		if !slices.Equal(v, before) {
			t.Fatal("the values were reordered")
		}
	})
}
