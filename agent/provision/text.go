package provision

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Text writes the report for people: a line a change, the diffs if there are
// any, then warnings, what is still to be done and the error with its remedy.
func (r Report) Text(w io.Writer, color bool) {
	out := printer{w: w, color: color}
	for _, c := range r.Changes {
		out.change(c)
	}
	for _, d := range r.Diff {
		out.diff(d)
	}
	for _, msg := range r.Warnings {
		out.line("33", "warning: "+msg)
	}
	r.textRequired(out)
	if r.Error == nil {
		out.line("", r.Msg)
		return
	}
	out.line("31", "error: "+r.Error.Message)
	if r.Error.Hint != "" {
		out.line("", "  "+r.Error.Hint)
	}
	if len(r.Changes) > 0 {
		out.line("", r.count()+" before it failed")
	}
}

func (r Report) textRequired(out printer) {
	switch {
	case r.RestartRequired:
		out.line("33", "restart required: "+strings.Join(r.RestartReasons, "; "))
	case r.ReloadRequired:
		out.line("33", "reload required")
	}
}

// printer drops write errors: a report has no better place to tell them.
type printer struct {
	w     io.Writer
	color bool
}

// line prints in an SGR colour (ECMA-48), "" for none.
func (p printer) line(sgr, text string) {
	if p.color && sgr != "" {
		text = "\x1b[" + sgr + "m" + text + "\x1b[0m"
	}
	_, _ = fmt.Fprintln(p.w, text)
}

func (p printer) change(c Change) {
	sgr := map[string]string{ActionCreate: "32", ActionRemove: "31"}[c.Action]
	if sgr == "" {
		sgr = "33"
	}
	text := fmt.Sprintf("%-7s %-9s %s", c.Action, c.Kind, c.Path)
	if len(c.What) > 0 {
		text += " (" + strings.Join(c.What, ", ") + ")"
	}
	p.line(sgr, text)
}

func (p printer) diff(d Diff) {
	p.line("", "--- "+d.BeforeHeader)
	p.line("", "+++ "+d.AfterHeader)
	for _, l := range unified(diffText(d.Before), diffText(d.After)) {
		p.line(map[byte]string{'-': "31", '+': "32", '@': "36"}[l[0]], l)
	}
}

// diffText prints dicts as a line a key, so that only what differs is shown as such.
func diffText(side any) string {
	m, ok := side.(map[string]any)
	if !ok {
		return fmt.Sprint(side)
	}
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&text, "%s: %v\n", key, m[key])
	}
	return text.String()
}
