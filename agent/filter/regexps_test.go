package filter

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"syncagent/agent/tree"
)

// The expressions are those of the shipped confxml.xml, of its users, and the
// forms in which the original wrote paths.
func TestRegexps(t *testing.T) {
	for _, c := range []struct {
		expr string
		path tree.Path
		dir  bool
		want bool
	}{
		{`(.*)\.svn`, ".svn", true, true},
		{`(.*)\.svn`, "a/.svn", true, true},
		{`(.*)\.svn`, "a/.svn/entries", false, true}, // the original sent these
		{`(.*)\.svn`, "a/b.svnx", false, false},
		{`(.*)\.gz`, "x/y.tar.gz", false, true},
		{`^info/*`, "info", true, true},
		{`^info/*`, "info/a/b", false, true},
		{`^info/*`, "info", false, true},
		{`^info/*`, "information", false, false},
		{`^info/*`, "p/info/a", false, false}, // the top only, as it is written
		{`/p/x`, "p/x", false, true},
		{`p/x`, "p/x", false, true},
		{`cache/`, "cache", true, true},
		{`cache/`, "cache", false, false},
		{`cache/`, "cache/x", false, true},
		{`a|b/c`, "b/c", false, true},
		{`a|b/c`, "ab/c", false, false},
		{`.*\.tmp`, "line\nbreak.tmp", false, true},
		{`.*\.tmp`, "\xff\xfe.tmp", false, true},
		{`图片/.*`, "图片/a.jpg", false, true},
	} {
		rules, err := (*Rules)(nil).WithRegexps([]string{c.expr})
		if err != nil {
			t.Fatal(err)
		}
		if got := rules.Excludes(c.path, c.dir); got != c.want {
			t.Errorf("%q excludes %q (directory: %v): %v, want %v", c.expr, c.path, c.dir, got, c.want)
		}
	}
}

// TestDecidesNamesExpressions: who asks why a path is left out hears of the expression,
// also of one that matches a directory above.
func TestDecidesNamesExpressions(t *testing.T) {
	rules, err := Compile([]string{"+ /a/**"})
	if err != nil {
		t.Fatal(err)
	}
	if rules, err = rules.WithRegexps([]string{"a/b"}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []tree.Path{"a/b", "a/b/c"} {
		if rule, at, excluded := rules.Decides(p, false); rule != "regex a/b" || at != "a/b" || !excluded {
			t.Errorf("%s: %q at %q, excluded: %v", p, rule, at, excluded)
		}
	}
	if rule, _, excluded := rules.Decides("a/c", false); rule != "+ /a/**" || excluded {
		t.Errorf("a/c: %q, excluded: %v", rule, excluded)
	}
}

func TestRegexpFaults(t *testing.T) {
	for expr, want := range map[string]string{
		`(?!keep).*`:    `at character 1; it looks around`,
		`x(?<=a)b`:      `at character 2; it looks around`,
		`a(b`:           `missing closing )`,
		`*.php`:         `"*" at character 1`,
		`(a)\1`:         `invalid escape sequence: "\\1" at character 4`,
		``:              `is empty`,
		`中文(?!keep).*$`: `at character 3`,
	} {
		_, err := Compile(nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = (*Rules)(nil).WithRegexps([]string{"fine", expr})
		var bad *SyntaxError
		if !errors.As(err, &bad) || bad.Index != 1 || !strings.Contains(bad.Error(), want) {
			t.Errorf("%q: %v, want %q", expr, err, want)
		}
	}
}

// A path is excluded exactly if a rule or an expression excludes it or a
// directory above it.
func TestRegexpsModel(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", ".svn", "x.gz", "info", "a.php", "图", "\xff"})
	exprs := rapid.SampledFrom([]string{`(.*)\.svn`, `(.*)\.gz`, `^info/*`, `a/b`, `/a`, `.*/b/`, `[ab]/.*`, `图`, `.*php$`, `^/a/.*`})
	lines := rapid.SampledFrom([]string{"- a", "+ *.php", "- /b/", "- *.gz", "- b/a"})
	rapid.Check(t, func(t *rapid.T) {
		expr := rapid.SliceOfN(exprs, 0, 3).Draw(t, "expr")
		rule := rapid.SliceOfN(lines, 0, 3).Draw(t, "rule")
		path := rapid.SliceOfN(names, 1, 4).Draw(t, "path")
		dir := rapid.Bool().Draw(t, "dir")
		plain, err := Compile(rule)
		if err != nil {
			t.Fatal(err)
		}
		rules, err := plain.WithRegexps(expr)
		if err != nil {
			t.Fatal(err)
		}
		want := false
		for i := range path {
			isDir := dir || i < len(path)-1
			p := strings.Join(path[:i+1], "/")
			want = want || plain.ExcludesEntry(tree.Path(p), isDir) || naive(t, expr, p, isDir)
		}
		p := tree.Path(strings.Join(path, "/"))
		if got := rules.Excludes(p, dir); got != want {
			t.Fatalf("%q (directory: %v) is excluded: %v, want %v", p, dir, got, want)
		}
		if rules.Excludes(p, dir) && !rules.MayExcludeBelow(p.Parent()) {
			t.Fatalf("%q is excluded, but nothing below %q may be", p, p.Parent())
		}
	})
}

// naive asks each expression for each form of one path: the longest match from
// the start on is all of it.
func naive(t *rapid.T, exprs []string, p string, dir bool) bool {
	forms := []string{p, "/" + p}
	if dir {
		forms = append(forms, p+"/", "/"+p+"/")
	}
	for _, e := range exprs {
		re := regexp.MustCompile("(?s)" + e)
		re.Longest()
		for _, f := range forms {
			if loc := re.FindStringIndex(f); loc != nil && loc[0] == 0 && loc[1] == len(f) {
				return true
			}
		}
	}
	return false
}

func TestEditorTemporaries(t *testing.T) {
	rules, err := Compile(append([]string{"+ .htaccess", "- /cache/"}, Set(EditorTemporaries)...))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[tree.Path]bool{
		".a.swp": true, "d/.a.swp": true, "a~": true, "4913": true, "d/4913": true, "49131": false,
		".htaccess": false, "d/.htaccess": false, "a": false, "~a": false, "cache/x": true,
	} {
		if got := rules.Excludes(path, false); got != want {
			t.Errorf("%q is excluded: %v, want %v", path, got, want)
		}
	}
	for _, dir := range []tree.Path{".git", "a~", "4913"} {
		if rules.Excludes(dir, true) || rules.Excludes(dir+"/f", false) {
			t.Errorf("directory %q is excluded", dir)
		}
	}
	if Set("other") != nil {
		t.Error("an unknown set has rules")
	}
}

func FuzzRegexps(f *testing.F) {
	f.Add(`(.*)\.svn`, "a/.svn/entries")
	f.Add(`(?!x)`, "x")
	f.Fuzz(func(t *testing.T, expr, path string) {
		rules, err := (*Rules)(nil).WithRegexps([]string{expr})
		if err != nil {
			return
		}
		p, err := tree.ParsePath(path)
		if err != nil || p == tree.Root {
			return
		}
		if rules.Excludes(p, true) && !rules.Excludes(p.Join("x"), false) {
			t.Fatalf("%q is excluded but not what is below it", p)
		}
	})
}
