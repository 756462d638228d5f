package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"syncagent/agent/config"
	"syncagent/agent/root"
)

func TestJudgeRoot(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "www")
	m := config.NewReceiverModule("www", path)
	if v := (keptRoots{}).judgeRoot(m); v.out != "" || v.adopt || v.there {
		t.Errorf("an unknown one that is missing is made: %+v", v)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	first := (keptRoots{}).judgeRoot(m)
	if first.out != "" || !first.adopt {
		t.Fatalf("an unknown one is taken: %+v", first)
	}
	other := func(change func(*root.Identity)) keptRoots {
		id := first.now
		change(&id)
		return keptRoots{"www": {path, id}}
	}
	for name, tt := range map[string]struct {
		known keptRoots
		adopt bool
		out   string
	}{
		"the same":                {other(func(*root.Identity) {}), false, ""},
		"another kind":            {other(func(id *root.Identity) { id.FS.Type++ }), false, "another file system"},
		"nobody knows which disk": {other(func(id *root.Identity) { id.FS.UUID, id.FS.ID, id.Birth = "", "", 1 }), false, "another directory"},
		"a link leads elsewhere":  {other(func(id *root.Identity) { id.Path, id.FS.UUID, id.FS.ID = "/x", "", "" }), false, "leads to"},
		"a disk below it went":    {other(func(id *root.Identity) { id.Mounts = []root.Mount{{Path: "m"}} }), false, "/www/m is not"},
		"moved in the file":       {keptRoots{"www": {dir, root.Identity{}}}, true, ""},
	} {
		v := tt.known.judgeRoot(m)
		if v.adopt != tt.adopt || (v.out == "") != (tt.out == "") || !strings.Contains(v.out, tt.out) {
			t.Errorf("%s: %+v", name, v)
		}
	}
	anew := verdict{now: first.now}
	was := first.now
	was.FS.UUID, anew.now.FS.UUID, was.Birth = "u", "u", 1 // what not every file system tells
	if anew.compare(kept{path, was}, m); !anew.adopt || anew.out != "" {
		t.Errorf("one that was made anew on the same file system: %+v", anew)
	}
	another := verdict{now: anew.now}
	was.FS.UUID = "v"
	if another.compare(kept{path, was}, m); another.adopt || !strings.Contains(another.out, "another file system") {
		t.Errorf("another disk: %+v", another)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if v := other(func(*root.Identity) {}).judgeRoot(m); !strings.Contains(v.out, "is missing") {
		t.Errorf("a known one that is missing: %+v", v)
	}
}

// TestPlaceIsOfTheDirectory: the digest that masters see changes with the directory
// alone, not with the receiver's state.
func TestPlaceIsOfTheDirectory(t *testing.T) {
	dir := t.TempDir()
	a, err := identify(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := identify(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	again, err := identify(dir)
	if err != nil {
		t.Fatal(err)
	}
	first := kept{dir, a}.place()
	if first == "" || first != (kept{dir, again}).place() || first == (kept{dir, b}).place() || first == (kept{"/x", a}).place() {
		t.Error("places do not tell directories apart")
	}
}
