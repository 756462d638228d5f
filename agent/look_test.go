package agent

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"syncagent/agent/tree"
)

func TestLookIsShared(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	f := &fakeRoot{dir: dir}
	batch := tree.Batch{{Path: "f", What: tree.Content}}
	get := func(b tree.Batch, taken time.Time) *look {
		t.Helper()
		l, err := f.look(b, taken)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	taken := time.Now()
	first := get(batch, taken)
	if again := get(batch, taken); again != first {
		t.Error("the same batch, taken before the look began, was looked up again")
	} else {
		again.close()
	}
	if other := get(tree.Batch{{Path: "g", What: tree.Content}}, taken); other == first {
		t.Error("another batch got the first one's look")
	} else {
		other.close()
	}
	first.close()
	if _, err := first.Names(); err == nil {
		t.Error("the root is still open after everybody closed the look")
	}
	second := get(batch, taken)
	if second == first {
		t.Error("a closed look was handed out")
	}
	late := get(batch, time.Now())
	if late == second {
		t.Error("a batch that was taken after the look had begun got it")
	}
	second.close()
	if len(late.entries) != 1 || late.entries[0].Stat.Size != 1 {
		t.Errorf("entries are %+v", late.entries)
	}
	late.close()
	if f.shared.last != nil {
		t.Error("a look is kept although nobody holds it")
	}
}
