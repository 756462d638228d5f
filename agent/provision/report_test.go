package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a text with testdata/NAME. The changing directory stands
// there as /T.
func golden(t *testing.T, name, dir, got string) {
	t.Helper()
	got = strings.ReplaceAll(got, dir, "/T")
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.WriteFile(path, []byte(got), 0o644))
	}
	equal(t, path, got, read(t, path))
}

// Reports of a host's life, as JSON and as text.
func TestGoldenReports(t *testing.T) {
	stages := []struct {
		name   string
		before func(t *testing.T, dir string)
		change func(d *Desired)
		opt    Options
	}{
		{name: "check", opt: Options{Service: "none", Check: true, Diff: true}},
		{name: "first", opt: Options{Service: "none"}},
		{name: "idle", opt: Options{Service: "none", Diff: true}},
		{name: "update", opt: Options{Service: "systemd", Diff: true}, before: func(t *testing.T, dir string) {
			must(t, os.Chmod(dir+"/etc", 0o700))
		}, change: func(d *Desired) {
			d.Files[1].Content = []byte("port = 873\n[bbs]\npath = /bbs\n[www]\npath = /www/www\n")
			d.Files[2].Content = []byte("repl:new-" + secretWord + "\n")
			d.Files[2].Mode = 0o400
			d.Absent = []Absent{{Path: d.Files[3].Path}}
			d.Files = d.Files[:3]
			d.Warnings = []string{"rsync 3.2.3 is older than 3.5.0"}
		}},
		{name: "drift", opt: Options{Service: "none", Diff: true}, before: func(t *testing.T, dir string) {
			write(t, dir+"/etc/rsyncd.conf", "port = 1\n", 0o644)
			write(t, dir+"/etc/rsyncd.secrets", "by-hand:"+secretWord+"\n", 0o600)
		}},
		{name: "force", opt: Options{Service: "none", Diff: true, Force: true}},
		{name: "invalid", opt: Options{Service: "none", Diff: true}, change: func(d *Desired) {
			d.Files[0].Validate = func([]byte) error {
				return &Problem{Code: CodeInvalid, Message: "unknown key prot", Path: d.Files[0].Path, Line: 3, Hint: "did you mean port?"}
			}
		}},
	}
	dir, sys := t.TempDir(), newMachine()
	for _, s := range stages {
		if s.before != nil {
			s.before(t, dir)
		}
		want := slave(dir)
		if s.change != nil {
			s.change(&want)
		}
		sys.mgr.state["receiver.service"] = UnitState{Active: true, Enabled: true}
		r := Converge(context.Background(), sys, want, s.opt)
		goldenReport(t, s.name, dir, r)
	}
}

func goldenReport(t *testing.T, name, dir string, r Report) {
	t.Helper()
	line, err := json.Marshal(r)
	must(t, err)
	if bytes.ContainsRune(line, '\n') || bytes.Contains(line, []byte(secretWord)) {
		t.Fatalf("more than a line, or a secret: %s", line)
	}
	var pretty, text bytes.Buffer
	must(t, json.Indent(&pretty, line, "", "  "))
	r.Text(&text, false)
	if strings.Contains(text.String(), secretWord) {
		t.Fatalf("a secret: %s", text.String())
	}
	golden(t, name+".json", dir, pretty.String()+"\n")
	golden(t, name+".txt", dir, text.String())
}

// A report made by hand has the same form as one of a run.
func TestFailure(t *testing.T) {
	r := Failure(Desired{Role: "slave", Version: "1"}, Options{Check: true}, Problem{Code: CodeInvalid, Message: "no modules"})
	b, err := json.Marshal(r)
	must(t, err)
	equal(t, "json", string(b), `{"schema_version":1,"role":"slave","version":"1","check":true,"changed":false,"failed":true,`+
		`"msg":"no modules","changes":[],"reload_required":false,"restart_required":false,"restart_reasons":[],"warnings":[],`+
		`"error":{"code":"invalid","message":"no modules","path":"","line":0,"hint":""}}`)
}

func TestExitCode(t *testing.T) {
	changed := Report{Changed: true}
	pending := Report{Check: true, Changed: true}
	failed := Report{Check: true, Changed: true, Failed: true, Error: &Problem{Code: CodeDrift}}
	invalid := Report{Failed: true, Error: &Problem{Code: CodeInvalid}}
	cases := []struct {
		name             string
		report           Report
		plain, detailled int
	}{
		{"nothing", Report{}, 0, 0},
		{"changed", changed, 0, 0},
		{"pending", pending, 0, 4},
		{"idle check", Report{Check: true}, 0, 0},
		{"failed", failed, 1, 1},
		{"invalid", invalid, 2, 2},
	}
	for _, c := range cases {
		equal(t, c.name, [2]int{c.report.ExitCode(false), c.report.ExitCode(true)}, [2]int{c.plain, c.detailled})
	}
}

func TestColorIsOnlyAddedWhenAsked(t *testing.T) {
	r := Report{
		Changes: []Change{{Kind: KindFile, Path: "/a", Action: ActionCreate}},
		Diff:    textPair("/a", "x\n", "y\n"), Warnings: []string{"w"}, Error: &Problem{Message: "m", Hint: "h"},
	}
	var plain, color bytes.Buffer
	r.Text(&plain, false)
	r.Text(&color, true)
	if strings.Contains(plain.String(), "\x1b") || !strings.Contains(color.String(), "\x1b[31merror: m\x1b[0m\n") {
		t.Fatalf("plain %q, color %q", plain.String(), color.String())
	}
}

// Applying what unified shows to the old text, by the line numbers of its hunks,
// gives the new one.
func TestUnified(t *testing.T) {
	line := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"})
	text := rapid.Custom(func(t *rapid.T) []string { return rapid.SliceOfN(line, 0, 40).Draw(t, "lines") })
	rapid.Check(t, func(t *rapid.T) {
		before, after := text.Draw(t, "before"), text.Draw(t, "after")
		if rapid.Bool().Draw(t, "similar") && len(before) > 0 {
			at := rapid.IntRange(0, len(before)-1).Draw(t, "at")
			after = slices.Concat(before[:at], []string{"new"}, before[min(len(before), at+1):])
		}
		shown := unified(strings.Join(append(before, ""), "\n"), strings.Join(append(after, ""), "\n"))
		if got := patched(t, before, shown); !slices.Equal(got, after) {
			t.Fatalf("%q to %q shows %q, which gives %q", before, after, shown, got)
		}
	})
}

// patched applies hunks.
func patched(t *rapid.T, before, hunks []string) []string {
	var out []string
	done := 0
	for _, l := range hunks {
		if strings.HasPrefix(l, "@@") {
			var at, n, to, m int
			if _, err := fmt.Sscanf(l, "@@ -%d,%d +%d,%d @@", &at, &n, &to, &m); err != nil {
				t.Fatalf("%q: %v", l, err)
			}
			if n > 0 {
				at--
			}
			out, done = append(out, before[done:at]...), at
			if m > 0 {
				to--
			}
			if len(out) != to {
				t.Fatalf("%q: %d lines stand before it", l, len(out))
			}
			continue
		}
		if l[0] != '+' {
			if before[done] != l[1:] {
				t.Fatalf("%q is not line %d of %q", l, done+1, before)
			}
			done++
		}
		if l[0] != '-' {
			out = append(out, l[1:])
		}
	}
	return append(out, before[done:]...)
}

// What stays between two differences is not shown as changed.
func TestUnifiedSparesWhatStays(t *testing.T) {
	var before []string
	for i := range 30 {
		before = append(before, fmt.Sprint("line ", i))
	}
	after := slices.Concat(before[:4], []string{"new"}, before[4:])
	after[25] = "other"
	want := []string{
		"@@ -2,6 +2,7 @@", " line 1", " line 2", " line 3", "+new", " line 4", " line 5", " line 6",
		"@@ -22,7 +23,7 @@", " line 21", " line 22", " line 23", "-line 24", "+other", " line 25", " line 26", " line 27",
	}
	if got := unified(strings.Join(before, "\n"), strings.Join(after, "\n")); !slices.Equal(got, want) {
		t.Fatalf("got\n%s", strings.Join(got, "\n"))
	}
}
