package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// report prints the table and writes it as Markdown, with the curves beside it.
func report(env *environment, res *results) error {
	if err := printTable(env, res); err != nil {
		return err
	}
	dir := filepath.Dir(env.opt.out)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	for _, p := range res.plots() {
		if err := os.WriteFile(filepath.Join(dir, p.file), p.chart.svg(), 0o644); err != nil {
			return fmt.Errorf("write curve: %w", err)
		}
	}
	for file, content := range pages(env, res) {
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
		env.say("written to %s", file)
	}
	return nil
}

// pages are the report's files. A curve with a page of its own is not in the
// report, which is not written when there is nothing else.
func pages(env *environment, res *results) map[string][]byte {
	all := map[string][]byte{}
	rest := *res
	rest.curves = nil
	for _, c := range res.curves {
		if c.page == "" {
			rest.curves = append(rest.curves, c)
			continue
		}
		all[filepath.Join(filepath.Dir(env.opt.out), c.page)] = ownPage(env, c)
	}
	if len(all) == 0 || len(rest.curves)+len(body(env, res)) > 0 {
		all[env.opt.out] = markdown(env, &rest)
	}
	return all
}

// ownPage is the page of one curve.
func ownPage(env *environment, c curveResult) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\nWritten by `make bench ROWS=%s`.\n\n", c.title, strings.TrimSuffix(c.page, ".md"))
	describeMachine(&b, env)
	fmt.Fprintf(&b, "\n%s\n\n", c.about)
	mdTable(&b, c.table())
	return b.Bytes()
}

// printTable is the text on standard output.
func printTable(env *environment, res *results) error {
	if table := body(env, res); len(table) > 0 {
		if err := textTable(env, append([][]string{head(res)}, table...)); err != nil {
			return err
		}
	}
	for _, c := range res.curves {
		fmt.Fprintf(env.out, "\n%s\n", c.title)
		if err := textTable(env, c.table()); err != nil {
			return err
		}
	}
	for _, why := range res.reasons() {
		fmt.Fprintln(env.out, why)
	}
	return nil
}

func textTable(env *environment, table [][]string) error {
	w := tabwriter.NewWriter(env.out, 0, 0, 2, ' ', 0)
	for _, cells := range table {
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// head and body are the table's cells. Ratios stand behind the values: ours
// over the floor, the others over ours.
func head(res *results) []string {
	cells := []string{"row", "work", "unit"}
	cells = append(cells, names(res.kinds)...)
	for _, over := range ratios(res) {
		cells = append(cells, over[0]+" : "+over[1])
	}
	return append(cells, "wanted")
}

func body(env *environment, res *results) [][]string {
	var table [][]string
	for _, row := range rows() {
		if !env.opt.wants(row.name) {
			continue
		}
		for _, l := range row.lines {
			cells := []string{row.name, l.title, l.unit}
			for _, k := range res.kinds {
				cells = append(cells, res.cell(row, l, k.name))
			}
			for _, over := range ratios(res) {
				cells = append(cells, res.ratio(l, over[0], over[1]))
			}
			table = append(table, append(cells, res.wish(row, l)))
		}
	}
	return table
}

func ratios(res *results) [][2]string {
	var list [][2]string
	if !slices.Contains(names(res.kinds), oursName) {
		return nil
	}
	for _, k := range res.kinds {
		switch k.name {
		case oursName:
		case floorName, openName:
			list = append(list, [2]string{oursName, k.name})
		default:
			list = append(list, [2]string{k.name, oursName})
		}
	}
	return list
}

// markdown is the page that documentation quotes from.
func markdown(env *environment, res *results) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Benchmark\n\nWritten by `make bench`; what is measured, and how, is told in [performance.md](performance.md).\n\n")
	describeMachine(&b, env)
	fmt.Fprintf(&b, "- rounds: %d, of which the table shows medians; changes in a round of latency: %d; what is not equal after %v never is\n",
		env.opt.rounds, env.opt.reps, env.opt.bound)
	if env.opt.tuned {
		b.WriteString("- the others had TCP_NODELAY on both ends too (`-tuned`)\n")
	}
	if len(res.missing) > 0 {
		fmt.Fprintf(&b, "- left out, not installed: %s\n", strings.Join(res.missing, ", "))
	}
	if table := body(env, res); len(table) > 0 {
		b.WriteString("\n## Side by side\n\n")
		mdTable(&b, append([][]string{head(res)}, table...))
		b.WriteString("\n## Every round\n\n")
		mdTable(&b, rounds(env, res))
	}
	if p, ok := res.latencyPlot(); ok {
		fmt.Fprintf(&b, "\n## Latency\n\n![%s](%s)\n", p.chart.title, p.file)
	}
	for _, c := range res.curves {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", c.title, c.about)
		mdTable(&b, c.table())
		b.WriteString("\n")
		for _, p := range c.plots() {
			fmt.Fprintf(&b, "![%s](%s)\n", p.chart.title, p.file)
		}
	}
	if why := res.reasons(); len(why) > 0 {
		b.WriteString("\n## What failed\n\n")
		for _, w := range why {
			fmt.Fprintf(&b, "- %s\n", strings.ReplaceAll(w, "|", "\\|"))
		}
	}
	return b.Bytes()
}

func describeMachine(b *bytes.Buffer, env *environment) {
	m := env.machine
	fmt.Fprintf(b, "- %s; %d cores (%s), Linux %s; load average %s before, %s after: when it is not near 0 before, others were at work too, and only ratios count\n",
		m.when.Format("2006-01-02"), m.cores, m.processor, m.kernel, m.loadBefore, m.loadAfter)
	fmt.Fprintf(b, "- %s\n", strings.Join(m.versions, "; "))
	if m.watcher != "" {
		fmt.Fprintf(b, "- ours watched with %s\n", m.watcher)
	}
	if !isolated() {
		b.WriteString("- the source shared a file system with the slaves: run as root to give it one of its own\n")
	}
}

// rounds shows what each round gave, but not each of hundreds of changes.
func rounds(env *environment, res *results) [][]string {
	table := [][]string{append([]string{"row"}, names(res.kinds)...)}
	for _, row := range rows() {
		if !env.opt.wants(row.name) || row.name == "latency" {
			continue
		}
		for _, l := range row.lines {
			cells := []string{row.name + ", " + l.unit}
			for _, k := range res.kinds {
				var list []string
				for _, v := range res.values[k.name][l.key] {
					list = append(list, number(v))
				}
				cells = append(cells, strings.Join(list, " · "))
			}
			table = append(table, cells)
		}
	}
	return table
}

func mdTable(b *bytes.Buffer, table [][]string) {
	for i, cells := range table {
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			fmt.Fprintf(b, "|%s\n", strings.Repeat("---|", len(cells)))
		}
	}
}

// number keeps three digits that mean something.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "-"
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
