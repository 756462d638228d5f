package agent

import (
	"time"

	"syncagent/agent/rsync"
	"syncagent/agent/status"
)

// drift is what a sweep found on a slave though every change had been seen and
// confirmed: somebody else changed it there, or it was restored from a backup.
type drift struct {
	at             time.Time
	differ, extras int
}

// drifted notes and tells what a sweep found. A sweep that changes were known to be
// missing for, the first one, and one beside which something was sent say nothing
// of the slave. Needs the lock.
func (r *Replica) drifted(d rsync.Diff, missed time.Time) {
	if !missed.IsZero() || r.sweeps.done == 0 && !r.sweeps.complete || r.pushes != r.sweeps.beside || !r.marks.first.IsZero() {
		return
	}
	extras := 0
	for _, e := range d.Extras {
		if r.module.Delete && !r.gate.holds(e.Path) {
			extras++
		}
	}
	if len(d.Differ)+extras == 0 {
		return
	}
	r.sweeps.drift = drift{at: time.Now(), differ: len(d.Differ), extras: extras}
	first := ""
	if len(d.Differ) > 0 {
		first = string(d.Differ[0].Path)
	}
	r.log.Warn("slave was changed by somebody else, a sweep found it and makes it equal", "differ", len(d.Differ), "extra", extras, "first", first)
}

func (d drift) shown() status.Drift {
	return status.Drift{At: status.Time{Time: d.at}, Differ: d.differ, Extra: d.extras}
}
