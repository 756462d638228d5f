package filter

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"syncagent/agent/tree"
)

// expression is a regular expression that excludes what it matches in full. It
// is compared with a path as sersync wrote paths, whose filters these are: as
// dir/name, with a slash before it, and for a directory with one behind it.
type expression struct {
	text string
	re   *regexp.Regexp
}

// WithRegexps returns the rules with expressions beside them, each in the syntax
// of package regexp. What one of them matches is excluded, and everything below
// it, whatever the rules say. The error joins a *SyntaxError for every
// expression at fault.
//
// Rsync cannot be told of them: who runs it with Args must see to it that
// nothing it finds by itself is sent or deleted.
func (r *Rules) WithRegexps(texts []string) (*Rules, error) {
	regexps, err := compileAll(texts, compileRegexp)
	if err != nil {
		return nil, err
	}
	both := &Rules{regexps: regexps}
	if r != nil {
		both.rules = r.rules
	}
	return both, nil
}

// compileRegexp makes . match every byte of a name, line breaks included, as the
// original's library does by default.
func compileRegexp(text string) (expression, *SyntaxError) {
	if text == "" {
		return expression{}, newFault("is empty", "delete it")
	}
	if _, err := syntax.Parse(text, syntax.Perl); err != nil {
		return expression{}, regexpFault(text, err)
	}
	re, err := regexp.Compile(`(?s)\A(?:` + text + `)\z`)
	if err != nil {
		return expression{}, regexpFault(text, err)
	}
	return expression{text: text, re: re}, nil
}

// regexpFault names the place, in characters from 1.
func regexpFault(text string, err error) *SyntaxError {
	var bad *syntax.Error
	if !errors.As(err, &bad) {
		return newFault("is no regular expression: "+err.Error(), "write it in the syntax of RE2")
	}
	problem := fmt.Sprintf("is no regular expression: %s: %q", bad.Code, bad.Expr)
	if i := strings.Index(text, bad.Expr); i >= 0 {
		problem += fmt.Sprintf(" at character %d", len([]rune(text[:i]))+1)
	}
	for _, around := range []string{"(?=", "(?!", "(?<=", "(?<!"} {
		if strings.HasPrefix(bad.Expr, around) || strings.Contains(text, around) && bad.Code == syntax.ErrInvalidPerlOp {
			return newFault(problem, "it looks around, which RE2 cannot: write what is to be left out itself, or a filter rule that includes the exception first")
		}
	}
	return newFault(problem, "write it in the syntax of RE2")
}

// matches reports whether the expression matches p itself.
func (e expression) matches(p tree.Path, dir bool) bool {
	s := "/" + string(p)
	if e.re.MatchString(s[1:]) || e.re.MatchString(s) {
		return true
	}
	if !dir {
		return false
	}
	s += "/"
	return e.re.MatchString(s[1:]) || e.re.MatchString(s)
}

// HasRegexps reports whether there are rules that rsync cannot be told of.
func (r *Rules) HasRegexps() bool { return r != nil && len(r.regexps) > 0 }

// Regexps returns the expressions as they were written.
func (r *Rules) Regexps() []string {
	if r == nil {
		return nil
	}
	texts := make([]string, len(r.regexps))
	for i, e := range r.regexps {
		texts[i] = e.text
	}
	return texts
}

// Texts returns rules and expressions as one list that tells whether two sets
// are the same.
func (r *Rules) Texts() []string {
	texts := r.Lines()
	for _, e := range r.Regexps() {
		texts = append(texts, "regex "+e)
	}
	return texts
}

func (r *Rules) matchesRegexp(p tree.Path, dir bool) bool {
	return slices.ContainsFunc(r.regexps, func(e expression) bool { return e.matches(p, dir) })
}
