package agent

import (
	"testing"
	"time"
)

// killed stands for the agent's death: the journal is what it was while it ran, and
// another agent starts.
func (b *rig) killed() {
	b.Helper()
	b.store.mu.Lock()
	rec := b.store.targets["data@s1"]
	b.store.mu.Unlock()
	if !rec.Open {
		b.Fatal("the journal of a running agent says that it has ended")
	}
	b.stop()
	b.store.mu.Lock()
	b.store.targets["data@s1"] = rec
	b.store.mu.Unlock()
	b.renew()
}

// A session of an agent that was killed may end a moment after the next one has sent
// newer content.
func TestSessionOutlivesKilledAgent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.answersLines(greeting("p1", "b1", false))
		b.swept(1)
		b.start()
		b.put("f", "old")
		time.Sleep(5 * time.Second)
		b.killed()
		b.start()
		b.watched(true)
		b.put("f", "new")
		time.Sleep(cutRest / 2)
		b.equal()
		if b.isClean() {
			t.Error("in sync while a session of the one before may live")
		}
		b.change(func(s *fakeSlave) { s.has["f"] = "old" })
		time.Sleep(2 * cutRest)
		b.equal()
		if !b.isClean() {
			t.Error("not in sync afterwards")
		}
	})
}

// As long as this host delivers what a dead run wrote, its paths are not sure.
func TestDeadRunIsStillDelivered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.answersLines(greeting("p1", "b1", false))
		b.swept(1)
		begin := time.Now()
		b.drains = func() bool { return time.Since(begin) < time.Minute }
		b.start()
		b.put("f", "new")
		b.cutRun()
		time.Sleep(2 * againOurs)
		b.equal()
		if b.isClean() {
			t.Error("in sync while the old content may arrive")
		}
		time.Sleep(time.Minute - 2*againOurs - 2*time.Second)
		b.change(func(s *fakeSlave) { s.has["f"] = "old" })
		time.Sleep(3 * againOurs)
		b.equal()
		if !b.isClean() {
			t.Error("not in sync afterwards")
		}
	})
}
