package rsyncd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestNoticeRoundTrip(t *testing.T) {
	word := rapid.StringMatching(`[a-z0-9]{1,16}`)
	rapid.Check(t, func(t *rapid.T) {
		n := Notice{Links: word.Draw(t, "links"), Owners: word.Draw(t, "owners"), Boot: word.Draw(t, "boot"), Modules: map[string]ModuleNotice{}}
		for _, name := range rapid.SliceOfN(rapid.String(), 0, 200).Draw(t, "modules") {
			n.Modules[n.Key(name)] = ModuleNotice{Place: word.Draw(t, "place"), Out: rapid.Bool().Draw(t, "out")}
		}
		lines := strings.Split(string(n.Render()), "\n")
		for _, line := range lines {
			if len(line) > 400 {
				t.Errorf("line of %d bytes", len(line))
			}
		}
		got, ours := ParseNotice(append([]string{"welcome", ""}, lines...))
		if !ours {
			t.Error("not recognised")
		}
		if diff := cmp.Diff(n, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestNoticeOfOthers(t *testing.T) {
	for _, motd := range [][]string{nil, {""}, {"welcome to links=munged", "Syncagent links=kept"}} {
		if n, ours := ParseNotice(motd); ours || n.Links != "" {
			t.Errorf("%q is taken for ours: %+v", motd, n)
		}
	}
	n, ours := ParseNotice([]string{"syncagent links=kept owners=lost", "syncagent later=x = module= out="})
	if !ours || n.Links != "kept" || n.Owners != "lost" || n.Boot != "" {
		t.Errorf("got %+v", n)
	}
}
