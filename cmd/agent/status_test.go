package main

import (
	"slices"
	"testing"

	"syncagent/agent/status"
)

// A running sweep says below the table how far it is, once that is known.
func TestStatusTellsHowFarASweepIs(t *testing.T) {
	tell := func(s status.Sweep) []string {
		return targetNotes(status.Module{Name: "www"}, status.Target{Name: "s1", Sweep: s})
	}
	want := []string{"www on s1: a sweep has compared 100 of 400 entries, about 7m30s to go"}
	if got := tell(status.Sweep{Running: true, Entries: 100, Of: 400, ETASeconds: 450}); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for _, s := range []status.Sweep{{}, {Running: true}} {
		if got := tell(s); len(got) > 0 {
			t.Errorf("%+v: %q", s, got)
		}
	}
}
