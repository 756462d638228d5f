package filter

import (
	"fmt"
	"strings"
)

// SyntaxError says what is wrong with one rule.
type SyntaxError struct {
	Index   int    // of the rule in the list, from 0
	Rule    string // as it was given
	Problem string
	Hint    string // what to write instead
}

// Error names the rule by its place in the list, counted from 1.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("filter rule %d %q %s; %s", e.Index+1, e.Rule, e.Problem, e.Hint)
}

// newFault makes a SyntaxError whose rule is filled in later.
func newFault(problem, hint string, args ...any) *SyntaxError {
	return &SyntaxError{Problem: problem, Hint: fmt.Sprintf(hint, args...)}
}

// maxPattern is the longest pattern that rsync takes, in bytes (MAXPATHLEN-1).
// It drops a longer one, says so on stderr, and still exits with 0.
const maxPattern = 4095

// modifiers are the letters that rsync knows between a rule's name and its
// pattern.
const modifiers = ",/!Csrpx-+enw"

const usage = `write "- PATTERN" to exclude or "+ PATTERN" to include`

// kinds are the names of rules, each with its short form.
var kinds = [...]struct{ long, short, hint string }{
	{"exclude", "-", ""},
	{"include", "+", ""},
	{"merge", ".", "write the rules of that file into the list"},
	{"dir-merge", ":", "write the rules of those files into the list, anchored with a leading /"},
	{"hide", "H", `what is hidden is protected here too: write "- PATTERN"`},
	{"show", "S", `what is shown may be deleted here too: write "+ PATTERN"`},
	{"protect", "P", `what is protected is not sent here either: write "- PATTERN"`},
	{"risk", "R", `what is at risk is sent here too: write "+ PATTERN"`},
	{"clear", "!", "delete it and the rules before it"},
}

// parse reads one line.
func parse(line string) (rule, *SyntaxError) {
	switch {
	case strings.IndexByte(line, 0) >= 0:
		return rule{}, newFault("holds NUL", "no file name does: delete it")
	case strings.IndexByte(line, '\n') >= 0:
		return rule{}, newFault("holds a line break", "write one rule an entry, or ? for a line break in a file name")
	case strings.TrimSpace(line) == "":
		return rule{}, newFault("is empty", "delete it")
	}
	for _, k := range kinds {
		if rest, ok := cutKind(line, k.long, k.short); ok && k.hint != "" {
			return rule{}, newFault(fmt.Sprintf("is of the kind %s, which is not supported", k.long), "%s", k.hint)
		} else if ok {
			return parseRest(k.short, rest)
		}
	}
	return rule{}, nameless(line)
}

// cutKind cuts the rule's name off. A short name other than - and + counts only
// before a space, an underscore or the end: ".git" and "Photos" are patterns
// whose - was forgotten.
func cutKind(line, long, short string) (rest string, ok bool) {
	if rest, ok = strings.CutPrefix(line, long); ok && (rest == "" || strings.IndexByte(" _,", rest[0]) >= 0) {
		return rest, true
	}
	rest, ok = strings.CutPrefix(line, short)
	return rest, ok && (short == "-" || short == "+" || rest == "" || rest[0] == ' ' || rest[0] == '_')
}

// parseRest reads what follows the name: one space or underscore, then the
// pattern to the end, further spaces and all.
func parseRest(kind, rest string) (rule, *SyntaxError) {
	if rest == "" || rest == " " || rest == "_" {
		return rule{}, newFault("has no pattern", usage)
	}
	if rest[0] != ' ' && rest[0] != '_' {
		return rule{}, noSpace(kind, rest)
	}
	p, fault := compile(rest[1:])
	return rule{include: kind == "+", pattern: p}, fault
}

// noSpace tells modifiers from a forgotten space.
func noSpace(kind, rest string) *SyntaxError {
	rest = strings.TrimPrefix(rest, ",")
	i := strings.IndexAny(rest, " _")
	switch {
	case i > 0 && strings.Trim(rest[:i], modifiers) == "":
		return newFault(fmt.Sprintf("has the modifiers %q, which are not supported", rest[:i]), "write %q if that is what you mean", kind+" "+rest[i+1:])
	case strings.HasPrefix(rest, "-"):
		return newFault("is an option of rsync", usage)
	}
	return newFault(fmt.Sprintf("has no space after %q", kind), "write %q", kind+" "+rest)
}

// nameless says what to do with a line that is no rule at all.
func nameless(line string) *SyntaxError {
	switch {
	case line[0] == '#' || line[0] == ';':
		return newFault("is a comment", "delete it, or write %q to exclude a file of that name", "- "+line)
	case line[0] == '!':
		return newFault("does not begin with - or +", "write %q before the rule that excludes it", "+ "+line[1:])
	case strings.TrimLeft(line, " \t") != line:
		return newFault("begins with white space", "write %q", strings.TrimLeft(line, " \t"))
	}
	return newFault("does not begin with - or +", "write %q to exclude it or %q to include it", "- "+line, "+ "+line)
}
