package agent

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
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

// TestSweepWhileAPathFails: the schedule does not wait for a path that the slave
// never takes, and a slave that is down holds up no sweep of another.
func TestSweepWhileAPathFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		when, err := config.ParseSchedule("10m")
		b := newRig(t, nil)
		b.must(err)
		b.swept(10)
		b.write("f", "1")
		b.refuse("f", rsync.Partial)
		b.Mark("f", tree.Content, false)
		b.start()
		down := newRig(t, nil)
		down.breakDown(rsync.Transient)
		down.start()
		s := &Source{replicas: []*Replica{down.Replica, b.Replica}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.sweepEvery(ctx, when, true) }()
		for range 3 {
			b.slaveHas("stray", "mine")
			time.Sleep(11 * time.Minute)
			synctest.Wait()
			b.slaveIs(false, "stray", "f")
		}
		cancel()
		<-done
	})
}
