package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strconv"
)

const (
	chartWidth, chartHeight       = 640, 360
	marginLeft, marginRight       = 70, 20
	marginTop, marginBottom       = 40, 50
	plotWidth, plotHeight         = chartWidth - marginLeft - marginRight, chartHeight - marginTop - marginBottom
	minDecade, ticks              = 1e-6, 5
	chartFont                     = `font-family="sans-serif" font-size="12"`
	gridColour, textColour, paper = "#cccccc", "#333333", "#ffffff"
)

// chart is a picture of lines over two axes, as SVG.
type chart struct {
	title, x, y string
	logX, logY  bool
	series      []series
}

type series struct {
	name   string
	points [][2]float64
}

// axis maps values to positions from 0 to 1.
type axis struct {
	low, high float64
	log       bool
}

func (c chart) svg() []byte {
	x, y := newAxis(c.values(0), c.logX), newAxis(c.values(1), c.logY)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" %s fill="%s">`+"\n",
		chartWidth, chartHeight, chartWidth, chartHeight, chartFont, textColour)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="%s"/>`+"\n", chartWidth, chartHeight, paper)
	text(&b, chartWidth/2, marginTop/2, "middle", c.title)
	text(&b, chartWidth/2, chartHeight-12, "middle", c.x)
	c.grid(&b, x, y)
	for i, s := range c.series {
		s.draw(&b, x, y, i)
		if len(c.series) > 1 {
			fmt.Fprintf(&b, `<g fill="%s">`, colour(i))
			text(&b, chartWidth-marginRight, marginTop+16*(i+1), "end", s.name)
			b.WriteString("</g>\n")
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (c chart) values(of int) []float64 {
	var v []float64
	for _, s := range c.series {
		for _, p := range s.points {
			v = append(v, p[of])
		}
	}
	return v
}

// newAxis of a logarithmic kind ends at powers of ten, else begins at 0.
func newAxis(v []float64, log bool) axis {
	low, high := math.Inf(1), math.Inf(-1)
	for _, x := range v {
		low, high = min(low, x), max(high, x)
	}
	switch {
	case len(v) == 0:
		return axis{0, 1, false}
	case log:
		low, high = math.Floor(math.Log10(max(low, minDecade))), math.Ceil(math.Log10(max(high, minDecade)))
		return axis{low, max(high, low+1), true}
	}
	step := niceStep(max(high, minDecade) / ticks)
	return axis{0, math.Ceil(max(high, minDecade)/step) * step, false}
}

// niceStep rounds up to 1, 2 or 5 times a power of ten.
func niceStep(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5} {
		if v <= f*p {
			return f * p
		}
	}
	return 10 * p
}

func (a axis) at(v float64) float64 {
	if a.log {
		v = math.Log10(max(v, minDecade))
	}
	return (v - a.low) / (a.high - a.low)
}

func (a axis) marks() []float64 {
	var list []float64
	if a.log {
		for e := a.low; e <= a.high; e++ {
			list = append(list, math.Pow(10, e))
		}
		return list
	}
	step := niceStep(a.high / ticks)
	for v := a.low; v <= a.high*(1+minDecade); v += step {
		list = append(list, v)
	}
	return list
}

func px(at float64) float64 { return marginLeft + at*plotWidth }
func py(at float64) float64 { return marginTop + (1-at)*plotHeight }

func (c chart) grid(b *bytes.Buffer, x, y axis) {
	for _, v := range x.marks() {
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/>`, px(x.at(v)), marginTop, px(x.at(v)), marginTop+plotHeight, gridColour)
		text(b, int(px(x.at(v))), marginTop+plotHeight+18, "middle", tick(v))
	}
	for _, v := range y.marks() {
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="%s"/>`, marginLeft, py(y.at(v)), marginLeft+plotWidth, py(y.at(v)), gridColour)
		text(b, marginLeft-8, int(py(y.at(v)))+4, "end", tick(v))
	}
}

// tick is the shortest text of a value on an axis.
func tick(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func (s series) draw(b *bytes.Buffer, x, y axis, i int) {
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, colour(i))
	for _, p := range s.points {
		fmt.Fprintf(b, "%.1f,%.1f ", px(x.at(p[0])), py(y.at(p[1])))
	}
	b.WriteString("\"/>\n")
	if len(s.points) > 20 {
		return
	}
	for _, p := range s.points {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, px(x.at(p[0])), py(y.at(p[1])), colour(i))
		text(b, int(px(x.at(p[0]))), int(py(y.at(p[1])))-8, "middle", number(p[1]))
	}
}

// colour tells lines apart, also for most who do not see all colours.
func colour(i int) string {
	list := []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"}
	return list[i%len(list)]
}

func text(b *bytes.Buffer, x, y int, anchor, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(s))
}
