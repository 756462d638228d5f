package agent

import (
	"testing"
	"time"

	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// What is not watched may have changed since the last sweep began.
func TestInSyncAsOfIsTheLastSweepWhereChangesAreNotSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.sees = func() bool { return false }
		b.write("f", "1")
		b.change(func(s *fakeSlave) { s.delay = 10 * time.Second })
		b.start()
		b.RequestSweep(false)
		began := time.Now()
		time.Sleep(time.Hour)
		b.equal()
		if s := b.snapshot("", false); !s.InSyncAsOf.Equal(began) {
			t.Errorf("in sync as of %v, the sweep began at %v", s.InSyncAsOf, began)
		}
		b.write("f", "2")
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Minute)
		if s := b.snapshot("", false); !s.InSyncAsOf.Equal(began) {
			t.Errorf("in sync as of %v after one change was sent", s.InSyncAsOf)
		}
	})
}

// Lag is the age of the oldest change that is not confirmed, whatever happened
// to it meanwhile.
func TestLagIsTheAgeOfTheOldestChange(t *testing.T) {
	for name, hinder := range map[string]func(*rig){
		"slave is down":   func(b *rig) { b.breakDown(rsync.Transient) },
		"root is blocked": func(b *rig) { b.root.set(&blockedError{why: "no"}) },
		"path fails":      func(b *rig) { b.refuse("old", rsync.Partial) },
		"path never rests": func(b *rig) {
			b.refuse("old", rsync.Transient)
		},
		"run takes long": func(b *rig) { b.change(func(s *fakeSlave) { s.delay = 24 * time.Hour }) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.swept(1)
				b.start()
				time.Sleep(time.Hour)
				b.write("old", "1")
				b.write("new", "1")
				hinder(b)
				b.Mark("old", tree.Content, false)
				for i := range 100 {
					time.Sleep(time.Minute)
					b.Mark("new", tree.Content, false)
					want := time.Duration(i+1) * time.Minute
					s := b.snapshot("", false)
					for what, seconds := range map[string]float64{"lag": s.Lag, "oldest pending": s.OldestPending} {
						if time.Duration(seconds*float64(time.Second)).Round(time.Second) != want {
							t.Fatalf("%s is %vs after %v", what, seconds, want)
						}
					}
				}
			})
		})
	}
}

func TestLagIsZeroWhenAllIsConfirmed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(1)
		b.start()
		for range 10 {
			b.write("f", time.Now().String())
			b.Mark("f", tree.Content, false)
			time.Sleep(time.Minute)
			if s := b.snapshot("", false); s.Lag != 0 || !s.InSyncAsOf.Equal(time.Now()) {
				t.Fatalf("snapshot is %+v", s)
			}
		}
	})
}
