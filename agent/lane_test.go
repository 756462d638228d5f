package agent

import (
	"slices"
	"testing"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
)

// newLanes is a rig whose bulk runs take a minute; files of four bytes are large.
func newLanes(t *testing.T) *rig {
	b := newRig(t, func(m *config.Module) { m.Lanes.Large, m.DeleteGuard.Off = 4, true })
	b.slave.carrying = time.Minute
	b.swept(10)
	b.start()
	return b
}

func (b *rig) put(name, content string) {
	b.Helper()
	b.write(name, content)
	b.Mark(tree.Path(name), tree.Content, false)
}

// rm removes name and tells of it.
func (b *rig) rm(name string) {
	b.Helper()
	b.remove(name)
	b.Mark(tree.Path(name), tree.Content, true)
}

func (b *rig) met() (text string) {
	b.change(func(s *fakeSlave) { text = s.collided })
	return text
}

// settledEqual waits for longer than every run takes.
func (b *rig) settledEqual() {
	b.Helper()
	time.Sleep(10 * time.Minute)
	b.equal()
	if !b.isClean() {
		b.Error("not clean")
	}
	if met := b.met(); met != "" {
		b.Error(met)
	}
}

func TestSmallChangesDoNotWaitForLargeOnes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newLanes(t)
		b.put("a/big", "large")
		time.Sleep(time.Second)
		b.put("a/small", "1")
		time.Sleep(time.Second)
		b.slaveIs(true, "a/small")
		b.slaveIs(false, "a/big")
		s := b.snapshot("", false)
		if s.Pending != 1 || s.OldestPending < 2 || b.isClean() {
			t.Errorf("while the large file is on its way: %+v", s)
		}
		b.settledEqual()
		sent := b.batches()
		if last := sent[len(sent)-1]; len(sent) != 3 || !slices.Equal(last.Send, []tree.Path{"a"}) {
			t.Errorf("the directory above is not sent once more: %+v", sent)
		}
	})
}

func TestLargeTreesGoBeside(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newLanes(t)
		b.fill("d", heavyEntries)
		b.change(func(s *fakeSlave) { clear(s.has) })
		b.Mark("d", tree.Deep, false)
		time.Sleep(time.Second)
		b.fill("e", 3)
		b.change(func(s *fakeSlave) { clear(s.has) })
		b.Mark("e", tree.Deep, false)
		time.Sleep(time.Second)
		b.slaveIs(true, "e")
		b.slaveIs(false, "d")
		b.settledEqual()
	})
}

// What is done above, below or at a path that is on its way is done after it.
func TestLanesDoNotMeet(t *testing.T) {
	for name, do := range map[string]func(*rig){
		"rewritten large":      func(b *rig) { b.put("a/big", "other") },
		"rewritten small":      func(b *rig) { b.put("a/big", "1") },
		"removed":              func(b *rig) { b.rm("a/big") },
		"a directory":          func(b *rig) { b.rm("a/big"); b.put("a/big/f", "1") },
		"parent removed":       func(b *rig) { b.rm("a/big"); b.rm("a") },
		"parent goes quietly":  func(b *rig) { b.remove("a"); b.Mark("a", tree.Content|tree.Deep, true) },
		"parent is a file":     func(b *rig) { b.rm("a"); b.put("a", "1") },
		"parent changes mode":  func(b *rig) { b.Mark("a", tree.Attrs, false) },
		"all of it is unknown": func(b *rig) { b.Mark("a", tree.Deep, false) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newLanes(t)
				b.put("a/big", "large")
				time.Sleep(time.Second)
				do(b)
				b.put("small", "1")
				time.Sleep(time.Second)
				b.slaveIs(true, "small")
				b.settledEqual()
			})
		})
	}
}

// What vanishes unseen after a run has read it, and before the sweep that was to
// find it has come along, is looked at again.
func TestSweepBesideALargeTree(t *testing.T) {
	for name, telling := range map[string]time.Duration{"is done first": 0, "is done after it": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newLanes(t)
				b.fill("d", heavyEntries)
				b.change(func(s *fakeSlave) { clear(s.has); s.telling = telling })
				b.Mark("d", tree.Deep, false)
				time.Sleep(time.Second)
				b.remove("d") // nobody tells
				b.Mark(tree.Root, tree.Deep, false)
				time.Sleep(time.Hour)
				b.settledEqual()
			})
		})
	}
}

// What had to wait for a bulk run is not put off by the next one.
func TestWhoWaitedGoesFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newLanes(t)
		b.put("a/big", "large")
		time.Sleep(time.Second)
		b.Mark("a", tree.Attrs, false)
		time.Sleep(time.Second)
		for range 5 { // without end, if it were for them
			b.put("a/big2", "large")
			time.Sleep(20 * time.Second)
		}
		first := slices.IndexFunc(b.batches()[1:], func(s rsync.Batch) bool { return slices.Contains(s.Send, "a") })
		if first != 0 {
			t.Error("the directory was not sent right after the first large file")
		}
		b.settledEqual()
	})
}

// What is on its way survives a stop, and a crash before it.
func TestStopReturnsWhatBothLanesHold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newLanes(t)
		b.put("a/big", "large")
		time.Sleep(time.Second)
		b.Mark("a", tree.Attrs, false)
		b.put("b/big", "large")
		time.Sleep(2 * saveEvery)
		written, err := b.store.LoadTarget("data", "s1")
		b.must(err)
		b.stop()
		atStop, err := b.store.LoadTarget("data", "s1")
		b.must(err)
		for _, p := range []tree.Path{"a", "a/big", "b/big"} {
			for when, rec := range map[string]tree.Batch{"beforehand": written.Pending, "at the stop": atStop.Pending} {
				if !slices.ContainsFunc(rec, func(m tree.Mark) bool { return m.Path == p }) {
					t.Errorf("%s the journal holds no %q: %v", when, p, rec)
				}
			}
		}
		b.renew()
		b.swept(10)
		b.start()
		b.settledEqual()
	})
}

// A large file that does not fit keeps nothing else away.
func TestLargeFileThatDoesNotFit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newLanes(t)
		b.refuse("a/big", rsync.DiskFull)
		b.put("a/big", "large")
		time.Sleep(2 * time.Minute)
		b.put("a/small", "1")
		time.Sleep(time.Second)
		b.slaveIs(true, "a/small")
		if s := b.snapshot("", false); s.Failing != 1 || s.Class != rsync.DiskFull.String() {
			t.Errorf("the file that does not fit is not told of: %+v", s)
		}
		b.accept()
		b.settledEqual()
	})
}

// The other names of a large file go with it, in one run.
func TestNamesOfALargeFileGoTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newLanes(t)
		b.write("a", "large")
		b.link("a", "b")
		b.Mark("a", tree.Content, false)
		b.Mark("b", tree.Content, false)
		b.settledEqual()
		if sent := b.batches(); len(sent) != 1 || len(sent[0].Send) != 2 {
			t.Errorf("sent %+v", sent)
		}
	})
}

// Without a size for it there is one lane.
func TestNoLanes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, func(m *config.Module) { m.Lanes.Large = 0 })
		b.swept(10)
		b.start()
		b.put("a", "large")
		b.settledEqual()
		if sent := b.batches(); len(sent) != 1 || sent[0].Bulk {
			t.Errorf("sent %+v", sent)
		}
	})
}
