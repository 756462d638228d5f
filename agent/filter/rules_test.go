package filter

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syncagent/agent/tree"
)

// compiled compiles rules that are right.
func compiled(t testing.TB, lines ...string) *Rules {
	t.Helper()
	r, err := Compile(lines)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestExcludes holds the meaning of rules by example; a trailing slash on a path
// says that it is a directory. What is excluded and what is not was listed by
// rsync 3.5.0.
func TestExcludes(t *testing.T) {
	for _, c := range []struct {
		rules    string // separated by |
		excluded string // separated by spaces
		included string
	}{
		{"- *.tmp", "a.tmp d/a.tmp a.tmp/ a.tmp/x .tmp", "a.tmpx d/ a"},
		{"- cache", "cache cache/ d/cache cache/x", "cachex xcache cache.d/"},
		{"- cache/", "cache/ cache/x d/cache/ d/cache/y/z", "cache d/cache"},
		{"- /cache", "cache cache/ cache/x", "d/cache d/cache/"},
		{"- a/b", "a/b x/a/b a/b/c", "b a/ xa/b a/x/b"},
		{"- /a/b", "a/b", "x/a/b"},
		{"- a/*", "a/b x/a/b a/b/", "a/ a"},
		{"- /a/*/c", "a/b/c", "a/c a/b/b/c x/a/b/c"},
		{"- /a/**/c", "a/b/c a/b/b/c", "a/c x/a/b/c"},
		{"- a/**/c", "a/b/c x/a/b/c", "a/c xa/b/c"},
		{"- **/c", "c a/c a/b/c", "xc a/xc"},
		{"- **c", "c xc a/xc", "cx"},
		{"- a**", "a ab a/b x/a x/ab/c", "xa"},
		{"- a**c", "ac a/c x/a/b/c", "xac xa/c"},
		{"- dir/***", "dir/ dir/x x/dir/ x/dir/y", "dir xdir/ x/"},
		{"- /dir/***", "dir/ dir/x", "dir x/dir/ x/dir/y"},
		{"- dir/**", "dir/x x/dir/y", "dir/"},
		{"- ?", "a \xff \n d/a", "ab"},
		{"- a?b", "axb", "ab"},
		{"- [a-c]", "a b c", "d - ab"},
		{"- [!a-c]", "d \xff", "a b"},
		{"- [^a-c]", "d ^", "a b"},
		{"- []a]", "] a", "b"},
		{"- [a-]", "a -", "b"},
		{"- [[:digit:]x]", "1 x", "a ["},
		{"- [[:upper:]]", "A", "a \xc4"},
		{`- a\b`, `a\b`, "ab"},
		{`- a\b*`, "ab abc", `a\b`},
		{`- a\\b*`, `a\b a\bc`, "ab"},
		{`- \*`, "*", `a \*`},
		{`- a\[`, "a[", `a\[`},
		{`- [\]]`, "]", `\`},
		{"+ *.php|- /www/*", "www/a www/b.txt", "www/a.php www/"},
		{"+ */|+ *.c|- *", "x a/x", "a/ a.c a/b/ a/b/x.c"},
		{"- a/|+ a/b", "a/ a/b", "b"},
		{"- *", "a a/", ""},
		{"- /***", "a a/ a/b", ""},
		{"exclude a|- b", "a b", "c"},
		{"include a|exclude *", "b", "a"},
		{"exclude_a|-_b", "a b", "c"},
	} {
		t.Run(c.rules, func(t *testing.T) {
			r := compiled(t, strings.Split(c.rules, "|")...)
			check := func(list string, want bool) {
				for s := range strings.SplitSeq(list, " ") {
					name, dir := strings.CutSuffix(s, "/")
					if got := r.Excludes(tree.Path(name), dir); got != want {
						t.Errorf("Excludes(%q) is %v", s, got)
					}
				}
			}
			check(c.excluded, true)
			check(c.included, false)
		})
	}
}

func TestSpacesBelongToThePattern(t *testing.T) {
	r := compiled(t, "-  a", "- b ", "- _c")
	for path, want := range map[tree.Path]bool{" a": true, "a": false, "b ": true, "b": false, "_c": true, "c": false} {
		if got := r.Excludes(path, false); got != want {
			t.Errorf("Excludes(%q) is %v", path, got)
		}
	}
}

func TestRootIsNeverExcluded(t *testing.T) {
	r := compiled(t, "- /***", "- *")
	if r.Excludes(tree.Root, true) || r.ExcludesEntry(tree.Root, true) {
		t.Error("the root is excluded")
	}
}

func TestExcludesEntryLooksAtTheEntryAlone(t *testing.T) {
	r := compiled(t, "- cache/")
	if r.ExcludesEntry("cache/x", false) || !r.ExcludesEntry("cache", true) {
		t.Error("the answer depends on the directories above")
	}
}

func TestNoRules(t *testing.T) {
	var none *Rules
	empty := compiled(t)
	for name, r := range map[string]*Rules{"nil": none, "empty": empty} {
		if r.Excludes("a", true) || r.ExcludesEntry("a", true) || r.MayExcludeBelow("a") || r.MayExcludeBelow(tree.Root) {
			t.Errorf("%s rules exclude something", name)
		}
		if !r.Empty() || len(r.Args()) > 0 || len(r.Lines()) > 0 {
			t.Errorf("%s rules are not empty", name)
		}
	}
	if !none.Equal(empty) || !empty.Equal(none) {
		t.Error("nil and empty rules differ")
	}
}

func TestMayExcludeBelow(t *testing.T) {
	for _, c := range []struct {
		rules    string
		may, not string // directories, "." being the root
	}{
		{"- *.tmp", ". a a/b", ""},
		{"- a/b", ". x", ""},
		{"+ *.php", "", ". a"},
		{"- /cache", ". cache", "a ca cache2 a/b"},
		{"- /a/b", ". a a/b a/b/c", "b ab a/c"},
		{"- /a/b/", ". a a/b", "b a/c"},
		{"- /a/*.tmp", ". a", "b a/b"},
		{"- /a*/x", ". a abc", "b a/b"},
		{"- /a/**", ". a a/b a/b/c", "b ab"},
		{"- /a/b**", ". a a/b a/bc a/bc/d", "b a/c"},
		{`- /a\*/x*`, ". a*", "a b"},
		{`- /a\b/x`, `. a\b`, "a ab"},
		{"- /cache|- /a/b", ". cache a", "b"},
		{"- b/", ". b a/b", ""},
	} {
		r := compiled(t, strings.Split(c.rules, "|")...)
		check := func(list string, want bool) {
			for dir := range strings.FieldsSeq(list) {
				p := tree.Path(strings.TrimPrefix(dir, "."))
				if got := r.MayExcludeBelow(p); got != want {
					t.Errorf("%s: MayExcludeBelow(%q) is %v", c.rules, p, got)
				}
			}
		}
		check(c.may, true)
		check(c.not, false)
	}
}

func TestArgsLinesEqual(t *testing.T) {
	r := compiled(t, "exclude *.tmp", "-_/a b/", "include_c", "- -x", "- \xff")
	want := []string{"- *.tmp", "- /a b/", "+ c", "- -x", "- \xff"}
	if diff := cmp.Diff(want, r.Lines()); diff != "" {
		t.Errorf("Lines (-want +got):\n%s", diff)
	}
	for i, arg := range r.Args() {
		if arg != "--filter="+want[i] {
			t.Errorf("argument %d is %q", i, arg)
		}
	}
	if again := compiled(t, r.Lines()...); !again.Equal(r) {
		t.Errorf("read again, the rules are %q", again.Lines())
	}
	if r.Equal(compiled(t, want[:4]...)) || r.Equal(nil) {
		t.Error("different rules are equal")
	}
}

func TestCompileErrors(t *testing.T) {
	for _, c := range []struct{ rule, problem, hint string }{
		{"", "is empty", "delete it"},
		{"  ", "is empty", "delete it"},
		{"*.tmp", "does not begin with - or +", `write "- *.tmp" to exclude it or "+ *.tmp" to include it`},
		{".git", "does not begin with - or +", `"- .git"`},
		{"Photos/", "does not begin with - or +", `"- Photos/"`},
		{"excluded", "does not begin with - or +", `"- excluded"`},
		{"!keep", "does not begin with - or +", `"+ keep"`},
		{" - x", "begins with white space", `write "- x"`},
		{"# x", "is a comment", "delete it"},
		{"-", "has no pattern", `"- PATTERN"`},
		{"- ", "has no pattern", `"- PATTERN"`},
		{"exclude", "has no pattern", `"- PATTERN"`},
		{"include_", "has no pattern", `"- PATTERN"`},
		{"-x", `has no space after "-"`, `write "- x"`},
		{"+*.php", `has no space after "+"`, `write "+ *.php"`},
		{"-\tx", `has no space after "-"`, "write"},
		{"exclude,x", `has no space after "-"`, `write "- x"`},
		{"--exclude=x", "is an option of rsync", `"- PATTERN"`},
		{"-s x", `has the modifiers "s"`, `write "- x"`},
		{"-! */", `has the modifiers "!"`, `write "- */"`},
		{"+,rp x", `has the modifiers "rp"`, `write "+ x"`},
		{"exclude,/ /etc", `has the modifiers "/"`, `write "- /etc"`},
		{"merge .rules", "is of the kind merge", "write the rules of that file"},
		{". .rules", "is of the kind merge", "write the rules of that file"},
		{"dir-merge .rules", "is of the kind dir-merge", "write the rules"},
		{": .rules", "is of the kind dir-merge", "write the rules"},
		{"dir-merge,n .rules", "is of the kind dir-merge", "write the rules"},
		{"hide x", "is of the kind hide", `"- PATTERN"`},
		{"H x", "is of the kind hide", `"- PATTERN"`},
		{"show x", "is of the kind show", `"+ PATTERN"`},
		{"S x", "is of the kind show", `"+ PATTERN"`},
		{"protect x", "is of the kind protect", `"- PATTERN"`},
		{"P_x", "is of the kind protect", `"- PATTERN"`},
		{"risk x", "is of the kind risk", `"+ PATTERN"`},
		{"R x", "is of the kind risk", `"+ PATTERN"`},
		{"!", "is of the kind clear", "delete it and the rules before it"},
		{"clear", "is of the kind clear", "delete it and the rules before it"},
		{"- a\x00", "holds NUL", "delete it"},
		{"- a\n- b", "holds a line break", "one rule an entry"},
		{"- " + strings.Repeat("x", 4096), "is longer than", "shorten"},
		{"- /", "names the root", `"- /**"`},
		{"- //", "names the root", `"- /**"`},
		{"- a//b", "has an empty component", "single slashes"},
		{"- //a", "has an empty component", "single slashes"},
		{"- a//", "has an empty component", "single slashes"},
		{"- a*//", "has an empty component", "single slashes"},
		{"- ./a", "has the component .,", "leading /"},
		{"- .", "has the component .,", "leading /"},
		{"- a/../b*", "has the component ..,", "leading /"},
		{"- [a", "has a [ that no ] closes", `write \[`},
		{"- []", "has a [ that no ] closes", `write \[`},
		{"- [a-", "has a [ that no ] closes", `write \[`},
		{`- [a\`, "has a [ that no ] closes", `write \[`},
		{"- [[:digit:", "has a [ that no ] closes", `write \[`},
		{"- [[:digits:]]", "has the unknown class [:digits:]", "[:digit:]"},
		{"- x[/]", "has a set that holds nothing", "correct"},
		{"- [!\x01-\xff]", "has a set that holds nothing", "correct"},
		{"- [a/]b", "has a slash inside [ ]", "outside of the brackets"},
		{`- *\`, "ends in a backslash", `write \\`},
	} {
		_, err := Compile([]string{"- fine", c.rule})
		var fault *SyntaxError
		if !errors.As(err, &fault) {
			t.Errorf("%q: %v", c.rule, err)
			continue
		}
		if fault.Index != 1 || fault.Rule != c.rule {
			t.Errorf("%q: the error names rule %d, %q", c.rule, fault.Index, fault.Rule)
		}
		if !strings.Contains(fault.Problem, c.problem) || !strings.Contains(fault.Hint, c.hint) {
			t.Errorf("%q: %v", c.rule, err)
		}
		if strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%q: the error takes more than one line", c.rule)
		}
	}
}

func TestCompileNamesEveryFault(t *testing.T) {
	_, err := Compile([]string{"x", "- fine", "! y", "merge z"})
	want := `filter rule 1 "x" does not begin with - or +; write "- x" to exclude it or "+ x" to include it
filter rule 3 "! y" is of the kind clear, which is not supported; delete it and the rules before it
filter rule 4 "merge z" is of the kind merge, which is not supported; write the rules of that file into the list`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}
