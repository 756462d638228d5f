package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// escalator is told of the paths that a target has not taken for long, once each.
type escalator interface {
	escalate(module, target string, failing []status.Failing, now time.Time) error
}

// mindEvery is how often failing paths are looked at for how long they fail: in
// proportion to what counts as long, within these bounds.
const (
	mindLooks  = 30
	mindOften  = 10 * time.Second
	mindSeldom = time.Minute
)

func mindEvery(after time.Duration) time.Duration {
	return min(max(after/mindLooks, mindOften), mindSeldom)
}

// minding escalates what fails for long and tries all of it regularly.
func (s *Source) minding(ctx context.Context) {
	var mind, retry <-chan time.Time
	if after := s.module.Failures.EscalateAfter.Std(); after > 0 && s.failed != nil {
		t := time.NewTicker(mindEvery(after))
		defer t.Stop()
		mind = t.C
	}
	if d := s.module.Failures.RetryEvery.Std(); d > 0 {
		t := time.NewTicker(d)
		defer t.Stop()
		retry = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-retry:
			for _, r := range s.Replicas() {
				r.retryAt(tree.Root)
			}
		case <-mind:
			for _, r := range s.Replicas() {
				r.escalate(s.failed, time.Now())
			}
		}
	}
}

// escalate tells of the paths that have failed for long since the last time.
func (r *Replica) escalate(to escalator, now time.Time) {
	after := r.module.Failures.EscalateAfter.Std()
	if after <= 0 || to == nil {
		return
	}
	late := r.overdue(now.Add(-after))
	if len(late) == 0 {
		return
	}
	r.log.Warn("paths have not been taken for long, see \"agent status --failing\"", "paths", len(late), "since", late[0].Since.Time,
		"first", late[0].Name, "class", late[0].Class, "text", late[0].Error)
	if err := to.escalate(r.module.Name, r.target.Name, late, now); err != nil {
		r.log.Warn("failing paths cannot be noted, free or repair the state directory", "error", err)
	}
}

// overdue returns what has failed since before some time and was not told, the
// oldest first.
func (r *Replica) overdue(before time.Time) []status.Failing {
	r.mu.Lock()
	defer r.mu.Unlock()
	var late []status.Failing
	for p, t := range r.retries {
		if t.told || t.class == rsync.Transient || t.since.After(before) {
			continue
		}
		t.told = true
		late = append(late, t.shown(p))
	}
	slices.SortFunc(late, func(a, b status.Failing) int {
		if c := a.Since.Compare(b.Since.Time); c != 0 {
			return c
		}
		return tree.Compare(tree.Path(a.Name), tree.Path(b.Name))
	})
	return late
}

func (t *retry) shown(p tree.Path) status.Failing {
	return status.Failing{
		Path: status.Path{Name: string(p)}, Class: t.class.String(), Error: t.text,
		Since: status.Time{Time: t.since}, Tries: t.tries, Next: status.Time{Time: t.next},
	}
}

// failedMost bounds failed.log; the one before it is kept as failed.log.1.
const failedMost = 4 << 20

// failedLog is a file of one JSON object a line and failing path. It is data: nothing
// ever reads it to act on it.
type failedLog struct {
	file string
	mu   sync.Mutex
}

type failedLine struct {
	Time    status.Time    `json:"time"`
	Module  string         `json:"module"`
	Target  string         `json:"target"`
	Failing status.Failing `json:"failing"`
}

func (l *failedLog) escalate(module, target string, failing []status.Failing, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	for _, f := range failing {
		if err := enc.Encode(failedLine{status.Time{Time: now}, module, target, f}); err != nil {
			return fmt.Errorf("encode failing path: %w", err)
		}
	}
	if info, err := os.Stat(l.file); err == nil && info.Size()+int64(text.Len()) > failedMost {
		if err := os.Rename(l.file, l.file+".1"); err != nil {
			return fmt.Errorf("set %s aside: %w", l.file, err)
		}
	}
	f, err := os.OpenFile(l.file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open %s: %w", l.file, err)
	}
	_, err = f.Write(text.Bytes())
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", l.file, err)
	}
	return nil
}
