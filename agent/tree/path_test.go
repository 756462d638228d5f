package tree

import (
	"cmp"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParsePath(t *testing.T) {
	for _, s := range []string{"", "a", "a/b", ".a", "...", "a/..b", "#x", "-e", " ", "a\nb", "\xff\xfe", `a\b`, "$(x)"} {
		if p, err := ParsePath(s); err != nil || string(p) != s {
			t.Errorf("ParsePath(%q) is %q, %v", s, p, err)
		}
	}
	for _, s := range []string{"/", "/a", "a/", "a//b", ".", "..", "a/.", "./a", "a/../b", "a\x00b"} {
		if p, err := ParsePath(s); !errors.Is(err, ErrPath) || p != Root {
			t.Errorf("ParsePath(%q) is %q, %v", s, p, err)
		}
	}
}

func TestContains(t *testing.T) {
	for _, c := range []struct {
		p, q Path
		want bool
	}{
		{Root, Root, true},
		{Root, "a", true},
		{"a", Root, false},
		{"a", "a", true},
		{"a", "a/b/c", true},
		{"a/b", "a", false},
		{"a", "ab", false},
		{"a", "a-b", false},
		{"a", "b/a", false},
	} {
		if got := c.p.Contains(c.q); got != c.want {
			t.Errorf("%q.Contains(%q) is %v", c.p, c.q, got)
		}
	}
}

func TestWhatString(t *testing.T) {
	if got := (Deep | Attrs).String(); got != "attrs+deep" {
		t.Errorf("got %q", got)
	}
}

// TestCompareIsByComponent holds Compare to its definition.
func TestCompareIsByComponent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genPath().Draw(t, "a"), genPath().Draw(t, "b")
		want := slices.Compare(components(a), components(b))
		if got := cmp.Compare(Compare(a, b), 0); got != want {
			t.Fatalf("Compare is %d, want %d", got, want)
		}
	})
}

func components(p Path) []string {
	if p == Root {
		return nil
	}
	return strings.Split(string(p), "/")
}

// FuzzPath checks that no accepted path leaves the root or has a second form,
// and that a path is put together again from its parts.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"", "a/b", "../x", "a//b", "/etc", "a/./b", "\x00", "ü/\xff", "a/..", "..a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePath(s)
		if err != nil {
			if !errors.Is(err, ErrPath) {
				t.Fatalf("%v does not wrap ErrPath", err)
			}
			return
		}
		if s != "" && (!filepath.IsLocal(s) || filepath.Clean(s) != s) {
			t.Fatalf("%q was accepted", s)
		}
		if p != Root && p.Parent().Join(p.Base()) != p {
			t.Fatalf("%q is not %q joined with %q", p, p.Parent(), p.Base())
		}
		if !p.Parent().Contains(p) || Compare(p.Parent(), p) > 0 {
			t.Fatalf("%q does not stand below its parent", p)
		}
		if set := marks(Mark{p, Content}); !set.Covers(p) || set.Take()[0].Path != p {
			t.Fatalf("%q does not come back from a set", p)
		}
	})
}
