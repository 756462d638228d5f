package agent

import (
	"math/rand/v2"
	"time"
)

// backoff gives growing pauses between tries: from first, doubling, to last,
// with up to a fifth of jitter so that many targets that failed together do not
// come back together.
type backoff struct {
	first, last time.Duration
	tries       int
}

const (
	retryFirst   = time.Second
	retryLast    = 5 * time.Minute
	blockedFirst = 5 * time.Second // a wrong password does not mend itself at once
	movedFirst   = 100 * time.Millisecond
	movedLast    = 10 * time.Second // a file that never rests is sent this often
)

// next returns the pause before the coming try.
func (b *backoff) next() time.Duration {
	d := pause(b.first, b.last, b.tries)
	b.tries++
	return d
}

func (b *backoff) reset() { b.tries = 0 }

// pause is first doubled tries times, at most last, with jitter.
func pause(first, last time.Duration, tries int) time.Duration {
	d := last
	if tries < 30 && first<<tries < last {
		d = first << tries
	}
	return d - time.Duration(rand.Int64N(int64(d)/5+1))
}
