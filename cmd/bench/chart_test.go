package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAxis(t *testing.T) {
	for _, tt := range []struct {
		values    []float64
		log       bool
		low, high float64
		marks     int
	}{
		{[]float64{3, 47}, false, 0, 50, 6},
		{[]float64{0}, false, 0, 1e-6, 6},
		{[]float64{1, 300}, true, 0, 3, 4},
		{[]float64{20, 20}, true, 1, 2, 2},
		{nil, true, 0, 1, 6},
	} {
		a := newAxis(tt.values, tt.log)
		if math.Abs(a.low-tt.low) > 1e-9 || math.Abs(a.high-tt.high) > 1e-9 {
			t.Errorf("axis of %v ends at %v and %v, want %v and %v", tt.values, a.low, a.high, tt.low, tt.high)
		}
		if got := a.marks(); len(got) != tt.marks {
			t.Errorf("axis of %v has the marks %v, want %d", tt.values, got, tt.marks)
		}
	}
}

// No value lies outside the picture.
func TestAxisHoldsItsValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Float64Range(0, 1e9), 1, 20).Draw(t, "values")
		a := newAxis(v, rapid.Bool().Draw(t, "log"))
		for _, x := range v {
			if at := a.at(x); math.IsNaN(at) || at < 0 || at > 1+1e-9 {
				t.Fatalf("%v of %v is at %v", x, v, at)
			}
		}
	})
}

func TestChartIsXML(t *testing.T) {
	c := chart{
		title: "a < b & c", x: "x", y: "y", logX: true,
		series: []series{{"one", [][2]float64{{1, 2}, {10, 4}}}, {"two", [][2]float64{{1, 3}, {100, 5}}}},
	}
	dec := xml.NewDecoder(strings.NewReader(string(c.svg())))
	count := map[string]int{}
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok {
			count[start.Name.Local]++
		}
	}
	if count["polyline"] != 2 || count["circle"] != 4 {
		t.Errorf("got %v", count)
	}
}
