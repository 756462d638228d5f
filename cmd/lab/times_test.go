package lab

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestTimes measures runs for so many hosts, and writes the rows of the table of
// docs/ansible.md; it judges nothing but that they work.
func TestTimes(t *testing.T) {
	need(t)
	counts := os.Getenv("AGENT_LAB_TIMES")
	if counts == "" {
		t.Skip("measures: run by \"make ansible RUN=TestTimes TIMES=3,10\"")
	}
	for count := range strings.SplitSeq(counts, ",") {
		n, err := strconv.Atoi(count)
		must(t, err)
		row := fmt.Sprintf("| %d |", n)
		inv := many(t, n)
		for _, args := range [][]string{{"--check", "--diff"}, nil, nil, {"--check", "--diff"}} {
			start := time.Now()
			play(t, inv, "site", args...).ok(t)
			row += fmt.Sprintf(" %.0f s |", time.Since(start).Seconds())
		}
		record(t, n, row+"\n")
	}
}

// many boots a master and slaves, n hosts in all.
func many(t *testing.T, n int) inventory {
	t.Helper()
	on := make([]string, n)
	text := "---\nall:\n  vars:\n    ansible_user: deploy\n    agent_common_password: " + canary + "\n    agent_common_modules: [{name: www, path: /www/www}]\n" +
		"agent_masters:\n  hosts:\n    m1: {ansible_host: 10.77.0.11}\nagent_slaves:\n  hosts:\n"
	for i := range on {
		on[i] = []string{"bookworm", "trixie"}[i%2]
		if i > 0 {
			text += fmt.Sprintf("    s%d: {ansible_host: 10.77.0.%d}\n", i, 11+i)
		}
	}
	fresh(t, on...)
	source(t)
	return inventory{text: text}
}

// record writes a row of the page's table, the last, in place of the one for as many
// hosts.
func record(t *testing.T, n int, row string) {
	t.Helper()
	name := root() + "/docs/ansible.md"
	page, err := os.ReadFile(name)
	must(t, err)
	old := regexp.MustCompile(fmt.Sprintf(`(?m)^\| %d \|.*\n`, n))
	page = old.ReplaceAllLiteral(page, nil)
	table := regexp.MustCompile(`(?m)^\| hosts \|.*\n(\|.*\n)+`).FindIndex(page)
	if table == nil {
		t.Fatalf("docs/ansible.md has no table for the row %s", row)
	}
	must(t, os.WriteFile(name, slices.Insert(page, table[1], []byte(row)...), 0o644))
}
