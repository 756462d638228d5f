package agent

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/journal"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

func (b *rig) journal() journal.Target {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	return b.store.targets["data@s1"]
}

func TestJournalIsTakenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.FirstSync = "merge" })
		b.swept(300)
		b.write("f", "1")
		b.fill("d", 200)
		b.breakDown(rsync.Transient)
		b.start()
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Second)
		b.accept()
		b.goes("d")
		time.Sleep(10 * time.Second)
		b.write("bad", "1")
		b.refuse("bad", rsync.Partial)
		b.Mark("bad", tree.Content, false)
		time.Sleep(10 * time.Second)
		b.stop()
		rec := b.journal()
		if len(rec.Held) != 1 || !slices.ContainsFunc(rec.Pending, func(m tree.Mark) bool { return m.Path == "bad" }) || !rec.FirstSyncDone {
			t.Errorf("record is %+v", rec)
		}
		b.accept()
		b.renew()
		b.start()
		time.Sleep(time.Second)
		b.slaveIs(true, "f", "bad", "d/f001")
		if b.held() == 0 {
			t.Error("what was held is forgotten")
		}
	})
}

func TestJournalOfAnotherPlaceIsNotUsed(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*rig)
	}{
		"another host":   {func(b *rig) { b.target.Host = "other" }},
		"another folder": {func(b *rig) { b.target.Dir = "sub" }},
		"torn":           {func(b *rig) { b.store.loadErr = &journal.CorruptError{Path: "x"} }},
		"unreadable":     {func(b *rig) { b.store.loadErr = errors.New("input/output error") }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newRig(t, func(m *config.Module) { m.FirstSync = "merge" })
				b.store.targets["data@s1"] = journal.Target{Remote: remoteName(b.target), FirstSyncDone: true, Held: tree.Batch{{Path: "x", What: tree.Content}}}
				b.slaveHas("theirs", "1")
				tt.change(b)
				b.renew()
				b.start()
				b.RequestSweep(false)
				time.Sleep(time.Second)
				b.slaveIs(true, "theirs")
				if b.held() != 1 {
					t.Errorf("%d are held", b.held())
				}
			})
		})
	}
}

// A sweep that was wanted is wanted after a restart, whatever sweep.at_start
// says, and the marks beside it keep their own precision.
func TestWantedSweepSurvivesARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(10)
		b.both("f", "1")
		b.write("unseen", "1")
		b.breakDown(rsync.Transient)
		b.start()
		b.Mark("f", tree.Content, false)
		b.Mark(tree.Root, tree.Deep, false)
		time.Sleep(time.Minute)
		b.stop()
		if !slices.ContainsFunc(b.journal().Pending, func(m tree.Mark) bool { return m.Path == "f" }) {
			t.Errorf("pending %v", b.journal().Pending)
		}
		b.accept()
		b.batches()
		b.renew()
		b.start()
		synctest.Wait()
		b.watched(false)
		time.Sleep(time.Second)
		b.equal()
		if !slices.ContainsFunc(b.batches(), func(s rsync.Batch) bool { return slices.Contains(s.Send, "f") }) {
			t.Error("the marked file was left to the sweep, which compares size and time only")
		}
	})
}

func TestJournalIsBounded(t *testing.T) {
	b := newRig(t, nil)
	for i := range journal.MaxMarks + 10 {
		p := tree.Path(fmt.Sprintf("d%d/f", i))
		b.retries[p] = &retry{mark: tree.Mark{Path: p, What: tree.Content}, class: rsync.Partial}
		b.gate.held[tree.Path(fmt.Sprintf("h%d/f", i))] = 1
	}
	b.RequestSweep(false)
	store, err := journal.Open(t.TempDir())
	b.must(err)
	defer store.Close()
	b.must(store.SaveTarget("data", "s1", b.record()))
}

func TestJournalThatCannotBeWrittenStopsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.store.err = errors.New("no space left on device")
		b.write("f", "1")
		b.start()
		b.Mark("f", tree.Content, false)
		time.Sleep(time.Second)
		b.equal()
	})
}

// What is pushed all the time, and confirmed, is nothing to write down.
func TestJournalRestsWhileOnlyTimesChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(1)
		b.start()
		b.put("f", "0")
		time.Sleep(5 * time.Second)
		before := b.saves()
		for i := range 100 {
			b.put(fmt.Sprintf("f%d", i), "1")
			time.Sleep(time.Second + 70*time.Millisecond)
		}
		if n := b.saves() - before; n < 1 || n > 3 {
			t.Errorf("written %d times", n)
		}
		if old := time.Since(b.journal().LastSuccess); old > timesEvery+2*saveEvery {
			t.Errorf("its times are %v old", old)
		}
		b.refuse("bad", rsync.Partial)
		b.put("bad", "1")
		time.Sleep(3 * time.Second)
		if failing := b.journal().Failing; len(failing) != 1 {
			t.Errorf("a failing path is not written down: %+v", failing)
		}
	})
}
