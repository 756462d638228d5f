package chaostest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	tablePage  = "../../docs/chaos.md"
	tableBegin = "<!-- make chaos: begin -->\n"
	tableEnd   = "<!-- make chaos: end -->\n"
)

// result is what the table shows of a case.
type result struct {
	Name, Says     string
	Result         string  // "" is failed
	Fault, Settled float64 // seconds: under the fault, and from the cure until all was equal
	Asked, Checked int     // answers of the agent, and those of them that were compared with the trees
	Memory         int64   // bytes
	Routines       int
	Fresh          int
}

// results collects those of cases that run beside each other.
type results struct {
	seed uint64
	mu   sync.Mutex
	list []result
}

func (r *results) add(t *testing.T, c result) {
	if t.Failed() {
		c.Result = "**failed**"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, c)
}

// write puts the results into a page, between its markers.
func (r *results) write(page string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, []byte(tableBegin))
	old, after, closed := bytes.Cut(rest, []byte(tableEnd))
	if !ok || !closed {
		return fmt.Errorf("%s has no markers of the table", page)
	}
	var b bytes.Buffer
	for _, part := range [][]byte{before, []byte(tableBegin), r.table(old), []byte(tableEnd), after} {
		b.Write(part)
	}
	return os.WriteFile(page, b.Bytes(), 0o644)
}

// table holds a row of each case's last run: of this one, else of the one that
// wrote the table before.
func (r *results) table(before []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	rows := map[string]string{}
	for line := range strings.Lines(string(before)) {
		if name, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ = strings.Cut(name, "`")
			rows[name] = line
		}
	}
	for _, c := range r.list {
		rows[c.Name] = fmt.Sprintf("| `%s` | %s | %s |%s\n", c.Name, c.Says, c.Result, c.figures())
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "\nLast run: %d of %d cases, %s, `CHAOS_SEED=%d`, %s. A case that was not among them shows its own last run.\n\n",
		len(r.list), len(allCases()), r.sum(), r.seed, machine())
	b.WriteString("| case | what is done | result | equal after | answers, compared | memory | goroutines, new |\n|---|---|---|--:|--:|--:|--:|\n")
	for _, c := range allCases() {
		b.WriteString(rows[c.name])
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// figures are empty for what did not come to its end.
func (c result) figures() string {
	if c.Result != "passed" {
		return " | | | |"
	}
	return fmt.Sprintf(" %.1f s | %d, %d | %d MB | %d, %d |", c.Settled, c.Asked, c.Checked, c.Memory>>20, c.Routines, c.Fresh)
}

func (r *results) sum() string {
	passed, left := 0, 0
	for _, c := range r.list {
		switch {
		case c.Result == "passed":
			passed++
		case strings.HasPrefix(c.Result, "not run"):
			left++
		}
	}
	return fmt.Sprintf("%d passed, %d failed, %d not run", passed, len(r.list)-passed-left, left)
}

// machine is what the figures depend on.
func machine() string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	rsync, _ := exec.Command("rsync", "--version").Output()
	line, _, _ := strings.Cut(string(rsync), "  protocol")
	detector := "without the race detector"
	if raceDetector {
		detector = "with the race detector"
	}
	kernel, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return fmt.Sprintf("Linux %s, %s, %s", kernel, strings.Join(strings.Fields(line), " "), detector)
}

// TestTableNamesEveryCase: the page tells of the cases that there are.
func TestTableNamesEveryCase(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash(tablePage))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), tableBegin)
	table, _, ok := strings.Cut(rest, tableEnd)
	if !ok {
		t.Fatal(errors.New("the page has no table"))
	}
	for _, c := range allCases() {
		if !strings.Contains(table, fmt.Sprintf("| `%s` | %s |", c.name, c.says)) {
			t.Errorf("%s is not in the table of %s, or does something else there: run make chaos", c.name, tablePage)
		}
	}
}
