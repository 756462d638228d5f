package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"syncagent/rsyncd/rsyncdtest"
)

// TestParity is the table of what a confxml.xml means: each file of
// testdata/sersync/parity is a row, with the XML that goes in, what is done to
// the master's tree, and what comes out. The sections of a row:
//
//	above    what it shows
//	NAME.xml the file; @M@ is the master's directory, @S@ the slaves', @P@ the daemon's port, @Q@ and @R@ two more
//	master   a shell script in the master's directory before anything runs
//	slave    the same in the slave's
//	do       a shell script in the master's directory once everything is equal
//	until    a shell script in the slave's directory that succeeds once that has arrived; then the pushes are counted
//	last     in the master's directory: makes a file zz with $N in it, behind which all of that has arrived; left out:
//	         writes it
//	never    lines that stand in no argument and no list that rsync was given
//	says     lines that the log or the plugins' listeners say in the end
//	want     the options of the run that sent zz which the row "plain" has not (+) or has (-), the pushes and deletes
//	         where they are counted, and the slave's tree; -update writes it anew
//
// All rows run in one agent and one daemon, at the same time.
func TestParity(t *testing.T) {
	if os.Geteuid() != 0 {
		rsyncdtest.Lacks(t, "root", errors.New("the daemon keeps owners: needs root"))
	}
	needTools(t)
	p := newParity(t)
	p.serve()
	p.run()
	plain := p.check(t, p.row("plain"), nil)
	t.Run("rows", func(t *testing.T) {
		for _, r := range p.rows {
			if r.name == "plain" {
				continue
			}
			t.Run(r.name, func(t *testing.T) {
				t.Parallel()
				p.check(t, r, plain)
			})
		}
	})
}

// check does what the row says and compares what comes of it. It returns the
// options of the run that sent the last file.
func (p *parity) check(t *testing.T, r *parityRow, plain []string) []string {
	t.Helper()
	q := &parity{T: t, dir: p.dir, rows: p.rows, ports: p.ports, client: p.client}
	slave := p.at("slave", r.name)
	pushes, deletes := p.idle(t, r)
	q.shell(p.at("master", r.name), q.fill(r, r.section("do")))
	var got strings.Builder
	if until := r.section("until"); until != "" {
		p.eventually(t, until, func() error { _, err := p.sh(slave, q.fill(r, until)); return err })
		afterPushes, afterDeletes := p.idle(t, r)
		fmt.Fprintf(&got, "pushes %d, deletes %d\n", afterPushes-pushes, afterDeletes-deletes)
	}
	p.last(t, q, r, "1")
	p.last(t, q, r, "2") // which goes alone
	options := p.lastRun(t, r)
	for _, o := range difference(options, plain) {
		got.WriteString("+ " + o + "\n")
	}
	for _, o := range difference(plain, options) {
		got.WriteString("- " + o + "\n")
	}
	p.never(t, r)
	for text := range strings.Lines(q.fill(r, r.section("says"))) {
		p.eventually(t, "what is said", func() error { return p.anybodySays(strings.TrimSpace(text)) })
	}
	got.WriteString(listing(t, slave))
	r.compare(t, got.String())
	return options
}

// last makes the file zz with n in it, and waits until it has arrived and all that
// was before it.
func (p *parity) last(t *testing.T, q *parity, r *parityRow, n string) {
	t.Helper()
	script := r.section("last")
	if script == "" {
		script = "echo $N >zz"
	}
	q.shell(p.at("master", r.name), "N="+n+"\n"+q.fill(r, script))
	p.eventually(t, "zz", func() error {
		count := fmt.Sprintf("$(grep -rlx --include=zz %s . | wc -l)", n)
		out, err := p.sh(p.at("slave", r.name), "there="+count+"; cd "+p.at("master", r.name)+"; test $there = "+count)
		if err != nil {
			err = fmt.Errorf("not in %s: %w%s", p.at("slave", r.name), err, out)
		}
		return err
	})
	p.idle(t, r)
}

func difference(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(o string) bool { return slices.Contains(b, o) })
}

// runs calls f with the arguments and the list of each run of the row.
func (p *parity) runs(t *testing.T, r *parityRow, f func(argv []string, list string)) {
	t.Helper()
	files, _ := filepath.Glob(p.at("runs", "*.argv")) // the pattern is well formed
	slices.SortFunc(files, func(a, b string) int { return cmp.Compare(modified(a), modified(b)) })
	for _, file := range files {
		argv, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		dest := "/" + strings.TrimSuffix(lastLine(string(argv)), "/") + "/"
		if !strings.Contains(dest, "/"+r.name+"/") {
			continue
		}
		list, err := os.ReadFile(strings.TrimSuffix(file, ".argv") + ".list")
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		f(strings.Split(strings.TrimSpace(string(argv)), "\n"), string(list))
	}
}

// modified is when a file was written, 0 when it cannot be told.
func modified(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.ModTime().UnixNano()
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// lastRun returns the arguments of the run that sent zz last, with what is
// different each time named.
func (p *parity) lastRun(t *testing.T, r *parityRow) []string {
	t.Helper()
	var options []string
	p.runs(t, r, func(argv []string, list string) {
		if strings.Contains(list, "/zz\x00") {
			options = argv
		}
	})
	back := strings.NewReplacer("/"+r.name+"/", "/ROW/", p.at(), "@W@", p.ports["@P@"], "@P@")
	for i := range options {
		options[i] = back.Replace(options[i])
	}
	return options
}

// never holds what rsync must not even hear of.
func (p *parity) never(t *testing.T, r *parityRow) {
	t.Helper()
	for text := range strings.Lines(p.fill(r, r.section("never"))) {
		text = strings.TrimSpace(text)
		p.runs(t, r, func(argv []string, list string) {
			if strings.Contains(list, text) || slices.ContainsFunc(argv, func(a string) bool { return strings.Contains(a, text) }) {
				t.Errorf("rsync was told of %s: %q, list %q", text, argv, list)
			}
		})
	}
}

// listing is a tree in lines: mode, path, and a file's first line or where a
// link leads.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir || d.Name() == "zz" {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name) // name is below dir
		fmt.Fprintf(&b, "%s %q", info.Mode(), rel)
		if to, err := os.Readlink(name); err == nil {
			fmt.Fprintf(&b, " -> %s", to)
		}
		if data, err := os.ReadFile(name); err == nil && d.Type().IsRegular() {
			line, _, _ := strings.Cut(string(data), "\n")
			fmt.Fprintf(&b, ": %s", line)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// compare compares with the row's last section, or writes it.
func (r *parityRow) compare(t *testing.T, got string) {
	t.Helper()
	if !*update {
		if want := r.section("want"); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
		return
	}
	r.archive.Files = slices.DeleteFunc(r.archive.Files, func(f txtar.File) bool { return f.Name == "want" })
	r.archive.Files = append(r.archive.Files, txtar.File{Name: "want", Data: []byte(got)})
	if err := os.WriteFile(r.file, txtar.Format(r.archive), 0o644); err != nil {
		t.Fatal(err)
	}
}
