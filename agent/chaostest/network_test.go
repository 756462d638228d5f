package chaostest

import (
	"time"
)

func networkCases() []faultCase {
	return []faultCase{
		{
			name: "link_down", slaves: 2,
			says: "the link to one slave is down for a minute",
			fault: func(w *world) {
				w.slaves[0].cut()
				w.step(1)
				w.edit(func() { w.write(w.source+"/while-down", "x") })
				w.lacks("s1")
				w.arrives(30*time.Second, 1)
				pause(time.Duration(rounds(60, 5)) * time.Second)
				w.has("s1")
			},
			heal:  func(w *world) { w.slaves[0].mend() },
			bound: 3 * time.Minute,
		},
	}
}
