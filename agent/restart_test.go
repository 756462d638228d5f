package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/journal"
	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// toldPaths keeps what was escalated.
type toldPaths struct{ paths []string }

func (e *toldPaths) escalate(_, _ string, failing []status.Failing, _ time.Time) error {
	for _, f := range failing {
		e.paths = append(e.paths, f.Name)
	}
	return nil
}

// How long a path has failed, how often it was tried and that somebody was told is no
// matter of how long the agent runs, and neither is the lag.
func TestFailingSinceSurvivesARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(1)
		b.start()
		time.Sleep(time.Hour)
		b.write("d/f", "1")
		b.refuse("d/f", rsync.Partial)
		at := time.Now()
		b.Mark("d/f", tree.Content, false)
		time.Sleep(30 * time.Hour)
		var first toldPaths
		b.escalate(&first, time.Now())
		before := b.snapshot("", false)
		b.stop()
		time.Sleep(time.Hour)
		b.renew()
		b.swept(1)
		b.start()
		synctest.Wait()
		for _, wait := range []time.Duration{0, time.Minute} {
			time.Sleep(wait)
			s := b.snapshot("", false)
			if len(s.FailingPaths) != 1 {
				t.Fatalf("after %v: failing %+v", wait, s.FailingPaths)
			}
			f := s.FailingPaths[0]
			if f.Name != "d/f" || !f.Since.Equal(at) || f.Class != "partial" || f.Error != "not today" || f.Tries < before.FailingPaths[0].Tries {
				t.Errorf("after %v: %+v, since %v; before the restart %+v", wait, f, at, before.FailingPaths[0])
			}
			if age := time.Since(at).Seconds(); s.OldestPending != age || s.Lag != age || !s.InSyncAsOf.Equal(at) {
				t.Errorf("after %v: oldest %v, lag %v, in sync as of %v; the change is %v old", wait, s.OldestPending, s.Lag, s.InSyncAsOf, age)
			}
		}
		var second toldPaths
		b.escalate(&second, time.Now())
		if len(first.paths) != 1 || len(second.paths) != 0 {
			t.Errorf("told %q, and after the restart %q", first.paths, second.paths)
		}
		b.accept()
		time.Sleep(retryLast + time.Second)
		b.equal()
		if s := b.snapshot("", false); s.Failing != 0 || !b.isClean() {
			t.Errorf("cured: %+v", s)
		}
		b.stop()
	})
}

// A pause is not the journal's: it holds when that is damaged, and when nobody can tell.
func TestPauseOutlivesADamagedJournal(t *testing.T) {
	for name, damage := range map[string]func(*fakeStore){
		"the journal is torn":          func(f *fakeStore) { f.loadErr = &journal.CorruptError{Path: "p", Err: errors.New("torn")} },
		"the journal is gone":          func(f *fakeStore) { clear(f.targets) },
		"the journal cannot be read":   func(f *fakeStore) { f.loadErr = errors.New("input/output error") },
		"the pause itself cannot, too": func(f *fakeStore) { f.loadErr, f.lost = errors.New("input/output error"), errors.New("so too") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, nil)
				b.swept(1)
				b.start()
				synctest.Wait()
				b.must(b.SetPaused(true))
				b.stop()
				damage(b.store)
				b.renew()
				b.start()
				b.write("f", "1")
				b.Mark("f", tree.Content, false)
				b.RequestSweep(false)
				time.Sleep(time.Hour)
				if s := b.snapshot("", false); s.State != status.Paused || len(b.batches())+b.sweepsSeen() > 0 {
					t.Errorf("%+v, %d sweeps", s, b.sweepsSeen())
				}
				b.must(b.SetPaused(false))
				time.Sleep(time.Minute)
				b.equal()
			})
		})
	}
}

// What failed is tried again after any number of restarts and kills, each in the time in
// which everything is still to be compared once more.
func TestFailingOutlivesKills(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(1)
		b.write("d/f", "1")
		b.refuse("d/f", rsync.Partial)
		b.start()
		b.Mark("d/f", tree.Content, false)
		time.Sleep(time.Minute)
		for range 3 {
			b.stop()
			b.store.mu.Lock()
			rec := b.store.targets["data@s1"]
			rec.Open = true
			b.store.targets["data@s1"] = rec
			b.store.mu.Unlock()
			if !slices.ContainsFunc(rec.Pending, func(m tree.Mark) bool { return m.Path == "d/f" && m.What&tree.Content != 0 }) {
				t.Errorf("its mark is not written down: %+v", rec.Pending)
			}
			b.renew()
			b.swept(1)
			b.start()
			time.Sleep(time.Second)
		}
		b.accept()
		time.Sleep(retryLast + time.Minute)
		b.equal()
		if s := b.snapshot("", false); s.Failing != 0 || !b.isClean() {
			t.Errorf("cured: %+v", s)
		}
	})
}

// The clock may be set back at any time: what a journal's times say is how long ago
// something was, and from then on no figure depends on the wall clock.
func TestClockSetBackAfterARestart(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Hour, time.Hour} {
		b := newRig(t, nil)
		resumed(b, time.Now().Add(ahead).Round(0), time.Now().Add(min(0, ahead)))
	}
}

// resumed takes up a journal of some time, as which another one is to count.
func resumed(b *rig, ago, want time.Time) {
	b.Helper()
	b.store.targets["data@s1"] = journal.Target{
		Remote: remoteName(b.target), FirstSyncDone: true, InSync: ago, Oldest: ago,
		Pending: tree.Batch{{Path: "d/f", What: tree.Content}},
		Failing: []journal.Failing{{Path: "d/f", Class: "partial", Since: ago}},
	}
	b.restore()
	for name, at := range map[string]time.Time{"in sync": b.counts.inSync, "marks": b.marks.first, "failing": b.retries["d/f"].since} {
		if !strings.Contains(at.String(), " m=") || at.Sub(want).Abs() > time.Minute {
			b.Errorf("%s: %v", name, at)
		}
	}
}
