package main

import (
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	rows      []string
	sides     []string
	rounds    int
	reps      int
	bound     time.Duration
	idleAfter time.Duration
	idleFor   time.Duration
	out       string
	dir       string
	agent     string
	tree      string
	tuned     bool
	huge      bool
}

func parseOptions(args []string, w io.Writer) (options, error) {
	var o options
	var rows, sides string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(w)
	f.StringVar(&rows, "rows", "", "measure only these rows, separated by commas: "+strings.Join(rowNames(), ", "))
	f.StringVar(&sides, "sides", "", "measure only these columns, separated by semicolons: "+strings.Join(names(kinds()), "; "))
	f.IntVar(&o.rounds, "rounds", 3, "how often each row is measured")
	f.IntVar(&o.reps, "reps", 200, "changes in a round of the row latency")
	f.DurationVar(&o.bound, "bound", 2*time.Minute, "what is not equal by then never is")
	f.DurationVar(&o.idleAfter, "idle-after", 110*time.Second, "rest before wake-ups are counted: spare connections live that long")
	f.DurationVar(&o.idleFor, "idle-for", 30*time.Second, "how long wake-ups are counted")
	f.StringVar(&o.out, "out", "docs/bench.md", "write the table to this Markdown `FILE`, and the curves beside it")
	f.StringVar(&o.dir, "dir", "", "work in `DIR` (default memory: /dev/shm)")
	f.StringVar(&o.agent, "agent", "bin/agent", "the `PROGRAM` that is measured")
	f.StringVar(&o.tree, "tree", "", "copy in `DIR` (default the Go installation's src)")
	f.BoolVar(&o.tuned, "tuned", false, "give the other programs TCP_NODELAY on both ends too")
	f.BoolVar(&o.huge, "huge", false, "also 1,000,000 directories; takes minutes and some GB of memory")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.rows, o.sides = split(rows, ","), split(sides, ";")
	return o, o.check(f.Args())
}

func split(list, sep string) []string {
	var words []string
	for w := range strings.SplitSeq(list, sep) {
		if w = strings.TrimSpace(w); w != "" {
			words = append(words, w)
		}
	}
	return words
}

func (o *options) check(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("argument %q: give options only", rest[0])
	}
	for _, name := range o.rows {
		if !slices.Contains(rowNames(), name) {
			return fmt.Errorf("row %q: choose from %s", name, strings.Join(rowNames(), ", "))
		}
	}
	if o.rounds < 1 || o.reps < 1 {
		return fmt.Errorf("-rounds %d, -reps %d: give at least 1", o.rounds, o.reps)
	}
	var err error
	o.agent, err = filepath.Abs(o.agent)
	return err
}

// wants reports whether a row was asked for.
func (o *options) wants(row string) bool { return len(o.rows) == 0 || slices.Contains(o.rows, row) }

// rowNames are all that can be asked for.
func rowNames() []string {
	var list []string
	for _, r := range rows() {
		list = append(list, r.name)
	}
	for _, c := range curves() {
		list = append(list, c.name)
	}
	return list
}
