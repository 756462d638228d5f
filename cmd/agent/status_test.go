package main

import (
	"bytes"
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

// A sync prints what changes: each state once, and how far its sweep has come.
func TestSyncTellsHowFarItIs(t *testing.T) {
	var out bytes.Buffer
	p := &progress{app: &app{streams: streams{err: &out}, output: "text"}, unequal: map[string]bool{}}
	sweeping := func(entries int64) status.SyncUpdate {
		return status.SyncUpdate{Module: "www", Target: "s1", State: status.Sweeping, Sweep: status.Sweep{Running: true, Entries: entries, Of: 400, ETASeconds: 9}}
	}
	for _, u := range []status.SyncUpdate{sweeping(0), sweeping(0), sweeping(100), sweeping(100), {Module: "www", Target: "s1", State: status.Sending, Pending: 3}, {Module: "www", Target: "s1", State: status.Sending, Pending: 2}} {
		p.tell(u)
	}
	want := "www on s1: sweeping, 0 pending\n" +
		"www on s1: sweeping, 0 pending, 100 of 400 entries, about 9s to go\n" +
		"www on s1: sending, 3 pending\n"
	if out.String() != want {
		t.Errorf("%s", out.String())
	}
}

// A wait names what it waits for once, however often the slave is tried meanwhile.
func TestWaitTellsEachReasonOnce(t *testing.T) {
	var out bytes.Buffer
	w := &waiting{app: &app{streams: streams{err: &out}, output: "text"}, last: map[string]status.WaitUpdate{}}
	for _, u := range []status.WaitUpdate{
		{State: status.Backoff, Waiting: "connection refused"},
		{State: status.Sweeping, Waiting: "connection refused"},
		{State: status.Backoff, Waiting: "connection refused"},
		{State: status.Sending, Waiting: "2 changes are not confirmed"},
		{State: status.Sending, Waiting: "1 change is not confirmed"},
	} {
		u.Module, u.Target = "www", "s1"
		w.tell(u)
	}
	want := "www on s1: backoff: connection refused\nwww on s1: sending: 2 changes are not confirmed\n"
	if out.String() != want {
		t.Errorf("%s", out.String())
	}
}
