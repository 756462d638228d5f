package main

import (
	"context"
	"fmt"
	"slices"
)

// curve is a measurement beside the table: of ours alone over a growing size, or
// of what options cost.
type curve struct {
	name    string
	measure func(ctx context.Context, env *environment) (curveResult, error)
}

func curves() []curve {
	return []curve{{"scale-targets", scaleTargets}, {"scale-dirs", scaleDirs}, {"transfer", transferOptions}, {"isolation", isolation}}
}

// curveResult is a table whose first column is the size, or a label for each
// row.
type curveResult struct {
	title, about string
	page         string // a page of its own beside the report, "" for the report
	columns      []string
	labels       []string
	rows         [][]float64
	draw         []drawing
}

// drawing is one column as a picture.
type drawing struct {
	file   string
	column int
	logY   bool
}

type plot struct {
	file  string
	chart chart
}

func (c curveResult) table() [][]string {
	table := [][]string{c.columns}
	for i, row := range c.rows {
		var cells []string
		if c.labels != nil {
			cells = append(cells, c.labels[i])
		} else {
			cells, row = append(cells, fmt.Sprintf("%.0f", row[0])), row[1:]
		}
		for _, v := range row {
			cells = append(cells, number(v))
		}
		table = append(table, cells)
	}
	return table
}

func (c curveResult) plots() []plot {
	var list []plot
	for _, d := range c.draw {
		s := series{name: oursName}
		for _, row := range c.rows {
			s.points = append(s.points, [2]float64{row[0], row[d.column]})
		}
		list = append(list, plot{d.file, chart{
			title: c.columns[d.column], x: c.columns[0], y: c.columns[d.column], logX: true, logY: d.logY, series: []series{s},
		}})
	}
	return list
}

// plots are all pictures of a run.
func (r *results) plots() []plot {
	var list []plot
	if p, ok := r.latencyPlot(); ok {
		list = append(list, p)
	}
	for _, c := range r.curves {
		list = append(list, c.plots()...)
	}
	return list
}

// latencyPlot shows for each column how many of its changes had arrived after
// how long.
func (r *results) latencyPlot() (plot, bool) {
	c := chart{title: "One 4 KiB file until all three slaves have it", x: "ms", y: "% of the changes", logX: true}
	for _, k := range r.kinds {
		took := slices.Sorted(slices.Values(r.values[k.name]["latency"]))
		if len(took) == 0 {
			continue
		}
		s := series{name: k.name}
		for i, ms := range took {
			s.points = append(s.points, [2]float64{ms, 100 * float64(i+1) / float64(len(took))})
		}
		c.series = append(c.series, s)
	}
	return plot{"bench-latency.svg", c}, len(c.series) > 0
}

// measureCurves takes the sizes one after the other; one that fails ends its
// curve and is reported.
func measureCurves(ctx context.Context, env *environment, res *results) error {
	if _, watched := res.values[oursName]; !watched {
		return nil
	}
	for _, c := range curves() {
		if !env.opt.wants(c.name) {
			continue
		}
		got, err := c.measure(ctx, env)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			env.say("%s: %v", c.name, err)
			res.failed(row{name: c.name}, oursName, err)
		}
		if len(got.rows) > 0 {
			res.curves = append(res.curves, got)
		}
	}
	return nil
}
