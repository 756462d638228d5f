package agent

import (
	"math/rand/v2"
	"time"
)

const (
	retryFirst   = time.Second
	retryLast    = 5 * time.Minute
	blockedFirst = 5 * time.Second // a wrong password does not mend itself at once
	blockedLast  = time.Minute     // but somebody who mends it waits for us
	movedFirst   = 100 * time.Millisecond
	movedLast    = 10 * time.Second // a file that never rests is sent this often
)

// pause is first doubled tries times, at most last, less up to a fifth of jitter
// so that many targets that failed together do not come back together.
func pause(first, last time.Duration, tries int) time.Duration {
	d := last
	if tries < 30 && first<<tries < last {
		d = first << tries
	}
	return d - time.Duration(rand.Int64N(int64(d)/5+1))
}
