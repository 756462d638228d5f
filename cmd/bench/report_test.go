package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// measured are results as a run leaves them.
func measured() (*environment, *results) {
	list := kinds()
	res := newResults(list, []string{"lsyncd"})
	res.add(floorName, sample{"burst": {2, 4, 3}, "rename": {2}})
	res.add(oursName, sample{"burst": {3}, "rename": {2.5}, "latency": {1, 2, 3}})
	res.add(lsyncdName, sample{"burst": {30}, "latency": {20, 30, 40}})
	res.failed(row{name: "remove"}, lsyncdName, fmt.Errorf("%w: \"x\" is\nthere", errNever))
	res.failed(row{name: "remove"}, inotifyName, errors.New("broken"))
	res.failed(row{name: "burst"}, lsyncdName, errNever)
	res.add(oursName, sample{"rewrites": {0.5}})
	res.failed(row{name: "rewrites"}, oursName, errNever)
	return &environment{opt: options{rounds: 3, reps: 3}}, res
}

func TestTable(t *testing.T) {
	env, res := measured()
	table := map[string][]string{}
	columns := head(res)
	for _, cells := range body(env, res) {
		if len(cells) != len(columns) {
			t.Fatalf("%d cells below %d heads: %q", len(cells), len(columns), cells)
		}
		if _, there := table[cells[0]]; !there {
			table[cells[0]] = cells
		}
	}
	for _, tt := range []struct{ row, column, want string }{
		{"burst", floorName, "3.00"},
		{"burst", oursName, "3.00"},
		{"burst", openName, "-"},
		{"burst", lsyncdName, "30.0, but 1 × never equal"},
		{"burst", "ours : floor", "1.00"},
		{"burst", "lsyncd : ours", "10.0"},
		{"burst", "wanted", "≤ 1.30 × floor: yes"},
		{"rename", "wanted", "≤ 1.00 × floor: no"},
		{"latency", "wanted", "≤ 0.10 × lsyncd: yes"},
		{"large", "wanted", "≤ 1.30 × floor"},
		{"memory", "wanted", ""},
		{"rewrites", "wanted", "≤ 1.00: no"},
		{"remove", lsyncdName, "never equal"},
		{"remove", inotifyName, "failed"},
		{"remove", "ours : floor", ""},
	} {
		for i, c := range columns {
			if c == tt.column && table[tt.row][i] != tt.want {
				t.Errorf("%s, %s: %q, want %q", tt.row, tt.column, table[tt.row][i], tt.want)
			}
		}
	}
}

func TestRatiosNeedOurs(t *testing.T) {
	res := newResults(kinds()[:1], nil)
	if got := ratios(res); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestVerdict(t *testing.T) {
	_, res := measured()
	if err := res.verdict(); !errors.Is(err, errNever) || !strings.Contains(err.Error(), "rewrites") {
		t.Errorf("got %v", err)
	}
	delete(res.never[oursName], "rewrites")
	if err := res.verdict(); err != nil {
		t.Errorf("the others' failures are no failure of the run: %v", err)
	}
	res.failed(row{name: "scale-dirs"}, oursName, errNever)
	if err := res.verdict(); !errors.Is(err, errNever) || !strings.Contains(err.Error(), "scale-dirs") {
		t.Errorf("got %v", err)
	}
}

func TestReport(t *testing.T) {
	env, res := measured()
	res.curves = []curveResult{{
		title: "Targets", about: "How it grows.", columns: []string{"targets", "ms"},
		rows: [][]float64{{1, 2}, {10, 5.5}}, draw: []drawing{{file: "bench-targets.svg", column: 1}},
	}}
	env.opt.out = filepath.Join(t.TempDir(), "docs", "bench.md")
	var text, progress bytes.Buffer
	env.out, env.progress = &text, &progress
	if err := report(env, res); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(env.opt.out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| burst | the Go installation's src tree copied in | s | 3.00 | - | 3.00 |",
		"| burst, s | 2.00 · 4.00 · 3.00 |", "| 10 | 5.50 |", "![ms](bench-targets.svg)", "(bench-latency.svg)",
		"left out, not installed: lsyncd", `lsyncd, remove: never equal: "x" is there`,
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("%q is missing in\n%s", want, page)
		}
	}
	for _, want := range []string{"burst", "never equal", "Targets"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, text.String())
		}
	}
	for _, name := range []string{"bench-latency.svg", "bench-targets.svg"} {
		if _, err := os.Stat(filepath.Join(filepath.Dir(env.opt.out), name)); err != nil {
			t.Error(err)
		}
	}
}

func TestNumber(t *testing.T) {
	for want, v := range map[string]float64{"0.05": 0.049, "9.99": 9.99, "12.3": 12.34, "1235": 1234.6} {
		if got := number(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

// TestOwnPage: a curve with a page of its own leaves the report alone, unless there
// is more to report.
func TestOwnPage(t *testing.T) {
	env, res := measured()
	env.opt.out, env.opt.rows = filepath.Join("docs", "bench.md"), []string{"isolation"}
	own := curveResult{title: "Isolation", page: "isolation.md", columns: []string{"the tenth is", "p50"}}
	own.labels, own.rows = []string{"dead"}, [][]float64{{1.5}}
	res.curves = []curveResult{own}
	all := pages(env, res)
	if page := all[filepath.Join("docs", "isolation.md")]; len(all) != 1 || !bytes.Contains(page, []byte("| dead | 1.50 |")) {
		t.Errorf("%d pages, of which %q", len(all), page)
	}
	env.opt.rows = []string{"isolation", "burst"}
	all = pages(env, res)
	if page := all[env.opt.out]; len(all) != 2 || bytes.Contains(page, []byte("Isolation")) || !bytes.Contains(page, []byte("burst")) {
		t.Errorf("%d pages, of which %q", len(all), page)
	}
}
