package agent

import (
	"fmt"
	"testing"
	"time"

	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// What was last done about a path, and rsync's words, stay on record also when it
// succeeded; of what went as a tree, its top tells.
func TestExplainTellsOfTheLastAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newRig(t, nil)
		b.swept(100)
		b.start()
		last := func(p tree.Path) status.Attempt {
			if a := b.explain(p).Last; a != nil {
				return *a
			}
			return status.Attempt{}
		}
		if b.explain("f").Last != nil {
			t.Error("an attempt that never was")
		}
		const settle = 10 * time.Millisecond
		b.put("f", "1")
		at := time.Now()
		time.Sleep(settle)
		if a := last("f"); a.Path.Name != "f" || a.Did != "sent" || a.Class != "" || a.Time.Before(at) || a.Time.After(time.Now()) {
			t.Errorf("taken: %+v", a)
		}
		b.refuse("f", rsync.Partial)
		b.put("f", "2")
		time.Sleep(settle)
		if a := last("f"); a.Did != "sent" || a.Class != "partial" || a.Error != "not today" {
			t.Errorf("refused: %+v", a)
		}
		b.accept()
		time.Sleep(time.Hour)
		if a := last("f"); a.Class != "" || a.Error != "" || a.Did != "sent" {
			t.Errorf("taken in the end: %+v", a)
		}
		b.write("d/e/g", "1")
		b.Mark("d", tree.Deep|tree.Content, false)
		time.Sleep(settle)
		if a := last("d/e/g"); a.Did != "sent as a tree" || a.Path.Name != "d" {
			t.Errorf("below a tree: %+v", a)
		}
		b.rm("f")
		time.Sleep(time.Hour)
		if a := last("f"); a.Did != "deleted" {
			t.Errorf("removed: %+v", a)
		}
		b.breakDown(rsync.Transient)
		b.put("h", "1")
		time.Sleep(settle)
		if a := last("h"); a.Class != "transient" {
			t.Errorf("down: %+v", a)
		}
	})
}

func TestAttemptsAreBounded(t *testing.T) {
	a := newAttempts()
	now := time.Now()
	note := func(i int) {
		a.note(tree.Path(fmt.Sprintf("f%d", i)), attempt{at: now.Add(time.Duration(i)), did: "sent"})
	}
	for i := range 3 * attemptsKept {
		note(i)
		note(7) // one that is tried all the time does not go with its first
	}
	if len(a.last) > attemptsKept || len(a.ring) > attemptsKept {
		t.Errorf("%d paths, a ring of %d", len(a.last), len(a.ring))
	}
	if _, ok := a.last["f7"]; !ok {
		t.Error("what was tried last is forgotten")
	}
	if _, ok := a.last["f8"]; ok {
		t.Error("what was tried long ago is not")
	}
}
