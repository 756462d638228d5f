package filter

import (
	"errors"
	"slices"

	"syncagent/agent/tree"
)

// Rules is a compiled rule set; the first rule that matches decides, and what
// no rule matches is included. A nil *Rules excludes nothing. Rules are
// immutable and safe for concurrent use.
type Rules struct {
	rules   []rule
	regexps []expression
}

// rule is one line.
type rule struct {
	include bool
	pattern pattern
}

// Compile reads one rule a line. Its error joins a *SyntaxError for every line
// at fault.
func Compile(lines []string) (*Rules, error) {
	rules, err := compileAll(lines, parse)
	if err != nil {
		return nil, err
	}
	return &Rules{rules: rules}, nil
}

// compileAll compiles each text and numbers those at fault.
func compileAll[T any](texts []string, compile func(string) (T, *SyntaxError)) ([]T, error) {
	list := make([]T, 0, len(texts))
	var faults []error
	for i, text := range texts {
		one, fault := compile(text)
		if fault != nil {
			fault.Index, fault.Rule = i, text
			faults = append(faults, fault)
			continue
		}
		list = append(list, one)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return list, nil
}

// Excludes reports whether p or one of the directories above it is excluded;
// dir says whether p is a directory. The root never is excluded.
func (r *Rules) Excludes(p tree.Path, dir bool) bool {
	if r.Empty() {
		return false
	}
	for i := range len(p) {
		if p[i] == '/' && r.ExcludesEntry(p[:i], true) {
			return true
		}
	}
	return r.ExcludesEntry(p, dir)
}

// Decides returns the text of the rule that decides about p and what it matched, p or
// a directory above it; "" when none does, which includes p.
func (r *Rules) Decides(p tree.Path, dir bool) (rule string, at tree.Path, excluded bool) {
	if r.Empty() || p == tree.Root {
		return "", p, false
	}
	for i := 0; i <= len(p); i++ {
		if i < len(p) && p[i] != '/' {
			continue
		}
		at = p[:i]
		rule, excluded = r.decides(at, dir || i < len(p))
		if excluded {
			return rule, at, true
		}
	}
	return rule, at, false
}

func (r *Rules) decides(p tree.Path, dir bool) (string, bool) {
	for _, e := range r.regexps {
		if e.matches(p, dir) {
			return "regex " + e.text, true
		}
	}
	for i := range r.rules {
		if r.rules[i].pattern.match(string(p), dir) {
			return r.rules[i].String(), !r.rules[i].include
		}
	}
	return "", false
}

// ExcludesEntry is Excludes for a caller that knows that no directory above p
// is excluded.
func (r *Rules) ExcludesEntry(p tree.Path, dir bool) bool {
	if r == nil || p == tree.Root {
		return false
	}
	if r.matchesRegexp(p, dir) {
		return true
	}
	for i := range r.rules {
		if r.rules[i].pattern.match(string(p), dir) {
			return !r.rules[i].include
		}
	}
	return false
}

// MayExcludeBelow reports whether anything below the directory p may be
// excluded. It is false only when that is impossible whatever the names there
// are.
func (r *Rules) MayExcludeBelow(p tree.Path) bool {
	if r.Empty() {
		return false
	}
	if r.HasRegexps() {
		return true
	}
	for i := range r.rules {
		if !r.rules[i].include && r.rules[i].pattern.mayMatchBelow(string(p)) {
			return true
		}
	}
	return r.Excludes(p, true)
}

// Args returns the rules, without the expressions, as arguments of rsync, which
// must run with LC_ALL=C to read them as this package does.
func (r *Rules) Args() []string {
	lines := r.Lines()
	for i, line := range lines {
		lines[i] = "--filter=" + line
	}
	return lines
}

// Lines returns the rules in their short form, such as "- *.tmp".
func (r *Rules) Lines() []string {
	if r == nil {
		return nil
	}
	lines := make([]string, len(r.rules))
	for i, rule := range r.rules {
		lines[i] = rule.String()
	}
	return lines
}

// String returns the rule in its short form.
func (r rule) String() string {
	if r.include {
		return "+ " + r.pattern.text
	}
	return "- " + r.pattern.text
}

// Empty reports whether there are no rules.
func (r *Rules) Empty() bool { return r == nil || len(r.rules)+len(r.regexps) == 0 }

// Equal reports whether both hold the same rules in the same order.
func (r *Rules) Equal(o *Rules) bool {
	return slices.Equal(r.Texts(), o.Texts())
}
