package agent

import (
	"testing"
	"time"

	"syncagent/agent/tree"
)

// What somebody changed on a slave is healed by the next sweep, and told; what the
// master's own unseen changes left there is not called so.
func TestDriftIsHealedAndTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.both("f", "1")
		b.swept(1)
		b.start()
		b.slaveHas("f", "edited")
		b.slaveHas("extra", "1")
		b.RequestSweep(false)
		time.Sleep(time.Minute)
		b.equal()
		s := b.snapshot("", false)
		if s.Drift.Differ != 1 || s.Drift.Extra != 1 || s.Drift.At.IsZero() {
			t.Errorf("drift %+v", s.Drift)
		}
		b.write("unseen", "1")
		b.Mark(tree.Root, tree.Deep, false)
		time.Sleep(time.Minute)
		b.equal()
		if now := b.snapshot("", false); now.Drift != s.Drift {
			t.Errorf("called drift: %+v", now.Drift)
		}
	})
}
