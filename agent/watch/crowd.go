package watch

import "time"

// In a crowd of events each read finds one or two, and falling asleep and waking
// up costs more than they do. After crowdReads reads without a gap of crowdGap
// between them each is put off by crowdGap, in which some hundreds of events
// gather; the smallest queue in use holds thousands.
const (
	crowdReads = 64
	crowdGap   = time.Millisecond
)

// crowd recognises a crowd of events.
type crowd struct {
	reads int       // in a row
	last  time.Time // when the last one was
}

// gather waits in a crowd for more to read. some tells whether there was any now.
func (c *crowd) gather(now time.Time, some bool) {
	if c.joins(now, some) {
		time.Sleep(crowdGap)
		c.last = c.last.Add(crowdGap)
	}
}

// joins reports whether a read belongs to a crowd.
func (c *crowd) joins(now time.Time, some bool) bool {
	if !some {
		return false
	}
	if now.Sub(c.last) > crowdGap {
		c.reads = 0
	}
	c.reads++
	c.last = now
	return c.reads > crowdReads
}
