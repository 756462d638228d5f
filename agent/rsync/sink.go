package rsync

import (
	"bytes"
	"io"
	"sync/atomic"
	"time"
)

// maxLine bounds one line of output in bytes: a path of 4095 bytes, each
// escaped to five, and what stands around it.
const maxLine = 32 << 10

// Rsync writes each line of its output alone, and waking up for one costs more than
// what is in it. After chattyWrites small pieces without a gap of chattyGap between
// them each is followed by a rest of chattyGap, in which more gathers in the pipe: a
// piece of chattyPiece and more is not, so that the pipe never stays full.
const (
	chattyWrites = 64
	chattyGap    = 5 * time.Millisecond
	chattyPiece  = 8 << 10
)

// chatter recognises output that comes in many small pieces.
type chatter struct {
	pieces int // small ones in a row
	last   time.Time
}

// rest waits for more where a piece of n bytes, taken now, is one of many.
func (c *chatter) rest(n int, now time.Time) {
	if c.joins(n, now) {
		time.Sleep(chattyGap)
		c.last = c.last.Add(chattyGap)
	}
}

func (c *chatter) joins(n int, now time.Time) bool {
	if now.Sub(c.last) > chattyGap {
		c.pieces = 0
	}
	c.last = now
	if n >= chattyPiece {
		return false
	}
	c.pieces++
	return c.pieces > chattyWrites
}

// lines is a writer that hands on whole lines, without their newline; the
// callback must not keep the slice. Of a line longer than maxLine only the
// fact is handed on.
type lines struct {
	line func(b []byte)
	long func()
	read *atomic.Int64 // counts all bytes

	rest []byte
	skip bool // inside a line that is too long
	many chatter
}

// A waiting connection says nothing and a small push a line or two, so what is read
// into is small until it was filled, in bytes.
const (
	firstRead = 1 << 10
	mostRead  = 32 << 10
)

// ReadFrom takes all of the output.
func (l *lines) ReadFrom(from io.Reader) (total int64, err error) {
	for buf := make([]byte, firstRead); ; {
		n, err := from.Read(buf)
		total += int64(n)
		_, _ = l.Write(buf[:n])
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		if n == len(buf) && n < mostRead {
			buf = make([]byte, 2*n)
		}
	}
}

// Write never fails: a writer that stops reading would block rsync.
func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	l.read.Add(int64(n))
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.keep(p)
			break
		}
		l.keep(p[:i])
		l.flush()
		p = p[i+1:]
	}
	l.many.rest(n, time.Now())
	return n, nil
}

func (l *lines) keep(p []byte) {
	if l.skip {
		return
	}
	if len(l.rest)+len(p) > maxLine {
		l.rest, l.skip = l.rest[:0], true
		return
	}
	l.rest = append(l.rest, p...)
}

// flush ends the line; call it once more when the output has ended.
func (l *lines) flush() {
	switch {
	case l.skip:
		l.long()
	case len(l.rest) > 0:
		l.line(l.rest)
	}
	l.rest, l.skip = l.rest[:0], false
}

// tail keeps the first and the last max bytes written to it.
type tail struct {
	max         int
	first, last []byte // last may grow to twice max before it is cut
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if room := t.max - len(t.first); room > 0 {
		k := min(room, len(p))
		t.first = append(t.first, p[:k]...)
		p = p[k:]
	}
	if len(p) > t.max {
		p = p[len(p)-t.max:]
	}
	if len(t.last)+len(p) > 2*t.max {
		t.last = append(t.last[:0], t.end(t.max-len(p))...)
	}
	t.last = append(t.last, p...)
	return n, nil
}

// end returns at most n of the last bytes.
func (t *tail) end(n int) []byte { return t.last[max(0, len(t.last)-n):] }

func (t *tail) head() string { return string(t.first) }

func (t *tail) String() string { return string(t.first) + string(t.end(t.max)) }
