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
