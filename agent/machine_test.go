package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The state names the machine without showing its id, and a host without one is not
// told from others.
func TestStateNamesItsMachine(t *testing.T) {
	id := filepath.Join(t.TempDir(), "machine-id")
	is := func(text string) string {
		t.Helper()
		if err := os.WriteFile(id, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return machineOf(id)
	}
	if none := machineOf(id); none != "" {
		t.Errorf("without a file: %q", none)
	}
	if empty, image := is("\n"), is("uninitialized\n"); empty != "" || image != "" {
		t.Errorf("without an id: %q, %q", empty, image)
	}
	abc := is("abc\n")
	if strings.Contains(abc, "abc") || is("abc") != abc || is("def\n") == abc {
		t.Errorf("abc is %q, def %q", abc, is("def\n"))
	}

	g := newGuarded(t, nil)
	g.write("f")
	starts := func(machine string) {
		g.restart()
		g.guard.machine = machine
	}
	starts("")
	g.passes() // the state knows none
	starts("a")
	g.passes() // and now this one
	starts("")
	g.passes()
	starts("b")
	g.blocks("another machine")
	if ok, err := g.guard.approve("else"); ok || err != nil {
		t.Errorf("approved something else: %v", err)
	}
	g.blocks("another machine")
	if ok, err := g.guard.approve(g.guard.pending()); !ok || err != nil {
		t.Errorf("not approved: %v", err)
	}
	g.passes()
	starts("a")
	g.blocks("another machine")
}
