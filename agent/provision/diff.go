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

// unified prints a pair of texts as one hunk: the files are small and mostly
// change in one place, so the middle between the equal ends is shown.
func unified(before, after string) []string {
	a, b := lines(before), lines(after)
	head := 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	from, to := max(0, head-contextLines), min(len(a), len(a)-tail+contextLines)
	out := []string{fmt.Sprintf("@@ -%d,%d +%d,%d @@", from+1, to-from, from+1, to-from+len(b)-len(a))}
	out = prefixed(out, " ", a[from:head])
	out = prefixed(out, "-", a[head:len(a)-tail])
	out = prefixed(out, "+", b[head:len(b)-tail])
	return prefixed(out, " ", a[len(a)-tail:to])
}

func prefixed(out []string, prefix string, lines []string) []string {
	for _, l := range lines {
		out = append(out, prefix+l)
	}
	return out
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}
