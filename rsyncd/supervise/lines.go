package supervise

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
)

// maxLine bounds a kept line in bytes; the rest of it is dropped.
const maxLine = 1024

// ring keeps the last lines written to it. It takes any number of writers.
type ring struct {
	mu   sync.Mutex
	size int
	done []string
	part []byte // of a line that is not complete
}

func newRing(size int) *ring { return &ring{size: size} }

// Write never fails and never waits, so a child cannot hang on its output.
func (r *ring) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range bytes.Lines(p) {
		text, complete := bytes.CutSuffix(line, []byte{'\n'})
		r.part = append(r.part, text[:min(len(text), maxLine-len(r.part))]...)
		if complete {
			r.push(string(r.part))
			r.part = r.part[:0]
		}
	}
	return len(p), nil
}

func (r *ring) push(line string) {
	if line = strings.TrimRight(line, "\r"); line == "" {
		return
	}
	if len(r.done) == r.size {
		r.done = append(r.done[:0], r.done[1:]...)
	}
	r.done = append(r.done, line)
}

func (r *ring) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done, r.part = nil, nil
}

// lines returns what is kept, a line that is not complete included.
func (r *ring) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := append([]string(nil), r.done...)
	if len(r.part) > 0 {
		out = append(out, string(r.part))
	}
	return out[max(0, len(out)-r.size):]
}

// tailSize is how much of the end of a log is looked at, in bytes.
const tailSize = 16 << 10

// logTail reads what was appended to a file since mark.
type logTail struct {
	path string

	mu   sync.Mutex
	from int64
}

func (t *logTail) mark() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.from = 0
	if info, err := os.Stat(t.path); err == nil {
		t.from = info.Size()
	}
}

// read returns at most n of the last lines. A log that shrank was rotated: all
// of it is new. A log that cannot be read has nothing to say.
func (t *logTail) read(n int) []string {
	t.mu.Lock()
	from := t.from
	t.mu.Unlock()
	f, err := os.Open(t.path)
	if err != nil {
		return nil
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil
	}
	if size < from {
		from = 0
	}
	r := newRing(n)
	_, _ = io.Copy(r, io.NewSectionReader(f, max(from, size-tailSize), tailSize))
	return r.lines()
}
