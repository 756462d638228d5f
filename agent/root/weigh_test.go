package root

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"syncagent/agent/tree"
)

func TestWeigh(t *testing.T) {
	bothWays(t, func(t *testing.T, without bool) {
		dir, outside := scratch(t)
		grow(t, dir, "d/a", "d/b/c", "d/b/big", "empty/")
		if err := os.Truncate(filepath.Join(dir, "d/b/big"), 1000); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, filepath.Join(dir, "d/link")); err != nil {
			t.Fatal(err)
		}
		r := open(t, dir)
		defer r.Close()
		r.openat2 = r.openat2 && !without
		for _, tt := range []struct {
			path    tree.Path
			entries int
			large   int64
			want    Weight
		}{
			{"d", 6, 1000, Weight{Large: []tree.Path{"d/b/big"}}},
			{"d", 5, 1000, Weight{Heavy: true}}, // a, b, c, big, link
			{"d", 6, 2000, Weight{}},
			{"empty", 1, 1, Weight{}},
			{"d/link", 1, 1, Weight{}}, // never followed
			{"missing", 1, 1, Weight{}},
		} {
			got := r.Weigh(tt.path, tt.entries, tt.large)
			if got.Heavy != tt.want.Heavy || !slices.Equal(got.Large, tt.want.Large) {
				t.Errorf("%s, %d entries, %d bytes: %+v, want %+v", tt.path, tt.entries, tt.large, got, tt.want)
			}
		}
	})
}

// Many files that are not large make a subtree heavy, too.
func TestWeighBytes(t *testing.T) {
	dir, _ := scratch(t)
	for _, name := range []string{"d/a", "d/b", "d/c"} {
		grow(t, dir, name)
		if err := os.Truncate(filepath.Join(dir, name), 400); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, dir)
	defer r.Close()
	if !r.Weigh("d", 100, 1000).Heavy || r.Weigh("d", 100, 2000).Heavy {
		t.Error("bytes are not counted")
	}
}

// TestBelow: all of it, a directory before what is in it, and only where one may go in.
func TestBelow(t *testing.T) {
	dir, outside := scratch(t)
	grow(t, dir, "d/a", "d/b/c", "d/no/x", "e")
	if err := os.Symlink(outside, filepath.Join(dir, "d/link")); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir)
	defer r.Close()
	var got []tree.Path
	r.Below("d", func(p tree.Path, _ Stat) bool {
		got = append(got, p)
		return p != "d/no"
	})
	if b := slices.Index(got, "d/b"); b < 0 || b > slices.Index(got, "d/b/c") {
		t.Errorf("not in order: %q", got)
	}
	slices.Sort(got)
	if want := []tree.Path{"d/a", "d/b", "d/b/c", "d/link", "d/no"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
