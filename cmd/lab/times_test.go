package lab

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestTimes measures runs for 3 and for 10 hosts, and writes the table of
// docs/ansible.md; it judges nothing but that they work.
func TestTimes(t *testing.T) {
	need(t)
	if os.Getenv("AGENT_LAB_TIMES") == "" {
		t.Skip("measures: run by \"make ansible RUN=TestTimes TIMES=1\"")
	}
	var b strings.Builder
	b.WriteString("| hosts | check run, hosts never touched | first run | second run | check run, nothing to do |\n|---|---|---|---|---|\n")
	for _, n := range []int{3, 10} {
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
		inv := inventory{text: text}
		fmt.Fprintf(&b, "| %d |", n)
		for _, args := range [][]string{{"--check", "--diff"}, nil, nil, {"--check", "--diff"}} {
			start := time.Now()
			play(t, inv, "site", args...).ok(t)
			fmt.Fprintf(&b, " %.0f s |", time.Since(start).Seconds())
		}
		b.WriteString("\n")
	}
	t.Log("\n" + b.String())
	name := root() + "/docs/ansible.md"
	page, err := os.ReadFile(name)
	must(t, err)
	table := regexp.MustCompile(`(?m)^\| hosts \|.*\n(\|.*\n)+`)
	if !table.Match(page) {
		t.Fatal("docs/ansible.md has no table of times")
	}
	must(t, os.WriteFile(name, table.ReplaceAllLiteral(page, []byte(b.String())), 0o644))
}
