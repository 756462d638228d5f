package agent

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/config"
)

// TestSweepEvery: a sweep is asked for at the very moments of the schedule, local
// time, and never with none.
func TestSweepEvery(t *testing.T) {
	for text, want := range map[string][]string{
		"off":          nil,
		"7h":           {"07:00", "14:00", "21:00"},
		"30 3 * * *":   {"03:30"},
		"15 */8 * * *": {"00:15", "08:15", "16:15"},
	} {
		bubble(t, func(t *testing.T) {
			when, err := config.ParseSchedule(text)
			b := newRig(t, nil)
			b.must(err)
			s := &Source{replicas: []*Replica{b.Replica}}
			now := time.Now()
			midnight := time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, time.Local)
			time.Sleep(time.Until(midnight))
			ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour-time.Second)
			defer cancel()
			done := make(chan struct{})
			go func() { defer close(done); s.sweepEvery(ctx, when, true) }()
			var got []string
			for end := midnight.Add(24 * time.Hour); time.Now().Before(end); time.Sleep(time.Minute) {
				synctest.Wait()
				if wantsSweep(b.Replica) {
					got = append(got, time.Now().Format("15:04"))
					b.sweepStart()
				}
			}
			<-done
			if !slices.Equal(got, want) {
				t.Errorf("%s: asked at %v, want %v", text, got, want)
			}
		})
	}
}
