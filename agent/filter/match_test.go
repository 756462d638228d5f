package filter

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"syncagent/agent/tree"
)

// slowMatch is matchAt by its definition: every way to spread the stars.
func slowMatch(tokens []token, s string) bool {
	type state struct{ token, at int }
	seen := map[state]bool{}
	var try func(t, i int) bool
	try = func(t, i int) bool {
		if t == len(tokens) {
			return i == len(s)
		}
		if seen[state{t, i}] {
			return false
		}
		seen[state{t, i}] = true
		switch k := tokens[t].kind; {
		case k != star && k != stars:
			return i < len(s) && tokens[t].matches(s[i]) && try(t+1, i+1)
		case try(t+1, i):
			return true
		default:
			return i < len(s) && (k == stars || s[i] != '/') && try(t, i+1)
		}
	}
	return try(0, 0)
}

func TestMatchAtFindsEveryMatch(t *testing.T) {
	patterns := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "/", "?", "*", "*", "**", "[ab]", "[!a]"}), 1, 12)
	paths := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "/", "a/", "b/"}), 1, 16)
	rapid.Check(t, func(t *rapid.T) {
		raw := strings.Join(patterns.Draw(t, "pattern"), "")
		s := strings.Join(paths.Draw(t, "path"), "")
		tokens, fault := tokenize(raw, true)
		if fault != nil {
			t.Fatal(fault)
		}
		p := &pattern{wild: true, tokens: tokens}
		if got, want := p.matchAt(subject{path: s}, 0), slowMatch(tokens, s); got != want {
			t.Fatalf("%q matches %q: %v, want %v", raw, s, got, want)
		}
	})
}

// TestManyStarsEnd would not return if the search were exponential.
func TestManyStarsEnd(t *testing.T) {
	for _, rule := range []string{
		"- /" + strings.Repeat("*a", 40) + "*b/*",
		"- " + strings.Repeat("**a", 40) + "b",
		"- /" + strings.Repeat("*a", 40) + "*",
	} {
		r := compiled(t, rule)
		if r.ExcludesEntry(tree.Path(strings.Repeat("a", 200)+"/"+strings.Repeat("a", 200)), false) {
			t.Errorf("%s matches", rule)
		}
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	r := benchRules(t)
	if n := testing.AllocsPerRun(100, func() {
		for _, p := range benchPaths {
			r.Excludes(p, false)
			r.MayExcludeBelow(p)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestMayExcludeBelowDeniesNothingThatHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, err := Compile(rapid.SliceOfN(genRule(), 1, 3).Draw(t, "rules"))
		if err != nil {
			t.Skip("a rule that no path can match")
		}
		checkAncestors(t, r, tree.Path(strings.TrimSuffix(genEntry().Draw(t, "path"), "/")))
	})
}

// FuzzRules feeds anything to the compiler and the matcher and checks what must
// hold for all rules: they survive a round trip, a path is excluded when one of
// its directories is, and MayExcludeBelow denies nothing that happens.
func FuzzRules(f *testing.F) {
	f.Add("- *.tmp\n+ a/**/b\n- /x/***\n- [[:alpha:]-\\]x]*", "x/a.tmp/b")
	f.Add("- /a/b/*\n- **/c/", "a/b/c/d")
	f.Add("- [[:]\n- [!]a-z]\n- \\**", "a/]")
	f.Fuzz(func(t *testing.T, lines, path string) {
		r, err := Compile(strings.Split(lines, "\n"))
		p, bad := tree.ParsePath(path)
		if err != nil || bad != nil || len(path) > 200 || len(lines) > 1000 {
			return
		}
		if again, err := Compile(r.Lines()); err != nil || !again.Equal(r) {
			t.Fatalf("%q does not survive a round trip: %v", r.Lines(), err)
		}
		for _, rule := range r.rules {
			checkTokens(t, &rule.pattern, path)
		}
		checkAncestors(t, r, p)
	})
}

func checkTokens(t *testing.T, p *pattern, path string) {
	if got, want := p.matchAt(subject{path: path}, 0), slowMatch(p.tokens, path); got != want {
		t.Fatalf("%q matches %q: %v, want %v", p.text, path, got, want)
	}
}

func checkAncestors(t rapid.TB, r *Rules, p tree.Path) {
	if r.Excludes(tree.Root, true) {
		t.Fatalf("%q exclude the root", r.Lines())
	}
	excluded := r.Excludes(p, false) || r.Excludes(p, true)
	for q := p; q != tree.Root; {
		q = q.Parent()
		if excluded && !r.MayExcludeBelow(q) {
			t.Fatalf("%q exclude %q, though nothing below %q", r.Lines(), p, q)
		}
		if r.ExcludesEntry(q, true) && !excluded {
			t.Fatalf("%q exclude %q but not %q", r.Lines(), q, p)
		}
	}
}

var benchPaths = []tree.Path{
	"index.php",
	"www/site17/assets/img/photo-2026-11-22.jpg",
	"www/site17/var/cache/session/sess_0a1b2c",
	"a/b/c/d/e/f/g/h.tmp",
}

func benchRules(t testing.TB) *Rules {
	return compiled(t, "+ *.php", "- *.tmp", "- *.sw[a-p]", "- .git/", "- /www/*/var/cache/***", "- **/node_modules/**", "- /proc", "- lost+found/", "- *~", "- .#*")
}

func BenchmarkExcludes(b *testing.B) {
	r := benchRules(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range benchPaths {
			r.Excludes(p, false)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(benchPaths)), "ns/path")
}

func BenchmarkExcludesEntry(b *testing.B) {
	r := benchRules(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range benchPaths {
			r.ExcludesEntry(p, false)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(benchPaths)), "ns/path")
}
