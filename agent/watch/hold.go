package watch

import (
	"container/heap"
	"sync"
	"time"

	"syncagent/agent/tree"
)

// heldMost bounds the files that are held back; others are reported at once.
const heldMost = 10_000

// holder keeps back the reports of files that are being written, so that nobody
// sends a part of one. A file stands in it once, however often it is written to,
// and is judged when it is due: reported, dropped, or kept for longer.
//
// The methods are called by the one goroutine that takes a backend's events, but
// below and oldest, which anybody may call, also on nil.
type holder struct {
	judge judge
	most  time.Duration
	out   *outlet

	mu    sync.Mutex
	files map[tree.Path]*held
	queue heldQueue
}

// judge says for how much longer to hold f back, 0 if no longer. It says gone
// when no such file is left: then its removal has an event of its own.
type judge func(f *held, now time.Time) (wait time.Duration, gone bool)

// held is a file that is held back.
type held struct {
	path  tree.Path
	since time.Time
	due   time.Time
	place int // in the queue

	size   int64         // when it was last looked at
	op     Op            // all that was reported since
	writer int32         // the process that wrote to it last, 0 if unknown
	waited time.Duration // how long the last wait was
}

func newHolder(most time.Duration, out *outlet, judge judge) *holder {
	return &holder{judge: judge, most: most, out: out, files: make(map[tree.Path]*held)}
}

// has reports whether p is held back.
func (h *holder) has(p tree.Path) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.files[p] != nil
}

// hold keeps the report of p back, to be judged after wait. One that is held
// already only learns of the writer.
func (h *holder) hold(p tree.Path, f held, wait time.Duration) {
	if !h.put(p, f, wait) {
		h.out.emit(Event{Path: p, What: tree.Content, Op: f.op, Kind: KindFile})
	}
}

// learn adds to what was reported of p if it is held back, and returns all of it.
func (h *holder) learn(p tree.Path, op Op) Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.files[p]; f != nil {
		f.op |= op
		return f.op
	}
	return op
}

func (h *holder) put(p tree.Path, f held, wait time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.files[p]; old != nil {
		old.writer = f.writer
		old.op |= f.op
		return true
	}
	if len(h.files) >= heldMost {
		return false
	}
	f.path, f.since, f.waited = p, time.Now(), wait
	f.due = f.since.Add(min(wait, h.most))
	h.files[p] = &f
	heap.Push(&h.queue, &f)
	h.out.meter.unsettled.Add(1)
	return true
}

// release forgets p, whose event is reported otherwise.
func (h *holder) release(p tree.Path) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.files[p]; f != nil {
		h.forget(f)
	}
}

// releaseBelow forgets p and everything below it.
func (h *holder) releaseBelow(p tree.Path) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for q, f := range h.files {
		if p.Contains(q) {
			h.forget(f)
		}
	}
}

func (h *holder) forget(f *held) {
	heap.Remove(&h.queue, f.place)
	delete(h.files, f.path)
	h.out.meter.unsettled.Add(-1)
}

// next returns when something is due; ok is false when nothing is held.
func (h *holder) next() (due time.Time, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 {
		return time.Time{}, false
	}
	return h.queue[0].due, true
}

// expire judges what is due.
func (h *holder) expire(now time.Time) {
	for {
		f, event := h.pop(now)
		if f == nil {
			return
		}
		if event != nil {
			h.out.emit(*event)
			h.out.meter.unsettled.Add(-1)
		}
	}
}

// pop judges one file that is due and returns it, with its event if there is one.
// The event is unsettled until it was handed out.
func (h *holder) pop(now time.Time) (*held, *Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 || now.Before(h.queue[0].due) {
		return nil, nil
	}
	f := h.queue[0]
	wait, gone := h.judge(f, now)
	left := f.since.Add(h.most).Sub(now)
	switch {
	case gone:
		h.forget(f)
		return f, nil
	case wait > 0 && left > 0:
		f.waited = min(wait, left)
		f.due = now.Add(f.waited)
		heap.Fix(&h.queue, 0)
		return f, nil
	}
	heap.Pop(&h.queue)
	delete(h.files, f.path)
	return f, &Event{Path: f.path, What: tree.Content, Finished: wait <= 0, Op: f.op, Kind: KindFile}
}

// flush reports everything that is held: nobody will judge it any more.
func (h *holder) flush() {
	h.mu.Lock()
	files := h.files
	h.files, h.queue = make(map[tree.Path]*held), nil
	h.mu.Unlock()
	for p, f := range files {
		h.out.emit(Event{Path: p, What: tree.Content, Op: f.op, Kind: KindFile})
		h.out.meter.unsettled.Add(-1)
	}
}

// below returns what is held at and below p.
func (h *holder) below(p tree.Path) []tree.Path {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var paths []tree.Path
	for q := range h.files {
		if p.Contains(q) {
			paths = append(paths, q)
		}
	}
	return paths
}

// oldest returns how many files are held, and since when the first of them is.
func (h *holder) oldest() (n int, since time.Time) {
	if h == nil {
		return 0, time.Time{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.files {
		if since.IsZero() || f.since.Before(since) {
			since = f.since
		}
	}
	return len(h.files), since
}

// heldQueue is a heap by due time.
type heldQueue []*held

func (q heldQueue) Len() int           { return len(q) }
func (q heldQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q heldQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *heldQueue) Push(x any) {
	f := x.(*held)
	f.place = len(*q)
	*q = append(*q, f)
}

func (q *heldQueue) Pop() any {
	last := len(*q) - 1
	f := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return f
}
