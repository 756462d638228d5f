package provision

import (
	"fmt"
	"slices"
	"strings"
)

// Texts that stand for the content of a secret: a hash or a length of a weak
// password would give it away.
const (
	secretText    = "user:********\n"
	secretChanged = "user:********  # value changed\n"
)

func (p *planner) textDiff(f File, old string) []Diff {
	if !f.Secret {
		return textPair(f.Path, old, string(f.Content))
	}
	if old == "" {
		return textPair(f.Path, "", secretText)
	}
	return textPair(f.Path, secretText, secretChanged)
}

func textPair(path, before, after string) []Diff {
	return []Diff{{Before: before, After: after, BeforeHeader: path, AfterHeader: path}}
}

func pair(path string, before, after map[string]any) []Diff {
	return []Diff{{Before: before, After: after, BeforeHeader: path, AfterHeader: path}}
}

// goneDiff does not show the content, which may have been a secret.
func goneDiff(path string) []Diff {
	return pair(path, map[string]any{"path": path, "state": "file"}, map[string]any{"path": path, "state": "absent"})
}

// attrDiff is the pair of dicts for a mode or an owner, since Ansible prints
// nothing for equal texts.
func attrDiff(path string, st Stat, a Attr, what []string) []Diff {
	if len(what) == 0 {
		return nil
	}
	before := map[string]any{"path": path}
	after := map[string]any{"path": path}
	if slices.Contains(what, WhatMode) {
		before["mode"], after["mode"] = octal(st.Mode), octal(a.Mode)
	}
	if slices.Contains(what, WhatOwner) {
		before["owner"], before["group"] = st.UID, st.GID
		after["owner"], after["group"] = a.UID, a.GID
	}
	return pair(path, before, after)
}

// attrs describes a new entry; an owner stands there only when one is set.
func attrs(path string, a Attr) map[string]any {
	m := map[string]any{"path": path, "mode": octal(a.Mode)}
	if a.UID >= 0 {
		m["owner"] = a.UID
	}
	if a.GID >= 0 {
		m["group"] = a.GID
	}
	return m
}

// contextLines is how many equal lines surround a difference.
const contextLines = 3

// maxTable bounds the table that is filled to compare two texts. What is larger
// is shown as one replacement.
const maxTable = 1 << 22

// edit is a line that stays (' '), goes ('-') or comes ('+').
type edit struct {
	kind byte
	line string
}

// unified prints a pair of texts as the hunks of a unified diff.
func unified(before, after string) []string {
	edits := compare(lines(before), lines(after))
	var out []string
	oldLine, newLine, done := 1, 1, 0
	for i := 0; i < len(edits); i++ {
		if edits[i].kind == ' ' {
			continue
		}
		from, to := max(done, i-contextLines), hunkEnd(edits, i)
		o, n := count(edits[done:from])
		oldLine, newLine = oldLine+o, newLine+n
		o, n = count(edits[from:to])
		out = append(out, fmt.Sprintf("@@ -%s +%s @@", span(oldLine, o), span(newLine, n)))
		for _, e := range edits[from:to] {
			out = append(out, string(e.kind)+e.line)
		}
		oldLine, newLine, done = oldLine+o, newLine+n, to
		i = to - 1
	}
	return out
}

// hunkEnd is where the hunk of the difference at i ends: behind its context,
// unless the next difference is so near that one hunk shows both.
func hunkEnd(edits []edit, i int) int {
	last := i
	for ; i < len(edits) && i-last <= 2*contextLines; i++ {
		if edits[i].kind != ' ' {
			last = i
		}
	}
	return min(len(edits), last+1+contextLines)
}

// count tells how many lines of the old and of the new text the edits hold.
func count(edits []edit) (old, now int) {
	for _, e := range edits {
		if e.kind != '+' {
			old++
		}
		if e.kind != '-' {
			now++
		}
	}
	return old, now
}

// span names lines as a hunk's head does: an empty one by the line before it.
func span(line, n int) string {
	if n == 0 {
		line--
	}
	return fmt.Sprintf("%d,%d", line, n)
}

// compare returns the fewest edits that make b of a.
func compare(a, b []string) []edit {
	head := 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	edits := marked(nil, ' ', a[:head])
	edits = append(edits, middle(a[head:len(a)-tail], b[head:len(b)-tail])...)
	return marked(edits, ' ', a[len(a)-tail:])
}

// middle compares by the longest common subsequence.
func middle(a, b []string) []edit {
	if len(a)*len(b) > maxTable {
		return marked(marked(nil, '-', a), '+', b)
	}
	common := commonLines(a, b)
	var edits []edit
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			edits = append(edits, edit{' ', a[i]})
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			edits = append(edits, edit{'-', a[i]})
			i++
		default:
			edits = append(edits, edit{'+', b[j]})
			j++
		}
	}
	return marked(marked(edits, '-', a[i:]), '+', b[j:])
}

// commonLines holds at [i][j] how many lines a[i:] and b[j:] have in common, in
// the same order.
func commonLines(a, b []string) [][]int32 {
	table := make([][]int32, len(a)+1)
	table[len(a)] = make([]int32, len(b)+1)
	for i := len(a) - 1; i >= 0; i-- {
		table[i] = make([]int32, len(b)+1)
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				table[i][j] = table[i+1][j+1] + 1
			} else {
				table[i][j] = max(table[i+1][j], table[i][j+1])
			}
		}
	}
	return table
}

func marked(edits []edit, kind byte, lines []string) []edit {
	for _, l := range lines {
		edits = append(edits, edit{kind, l})
	}
	return edits
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}
