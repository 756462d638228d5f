package journal

import (
	"encoding/json"
	"fmt"
	"time"

	"syncagent/agent/tree"
)

// MaxMarks bounds Pending, Held and Failing of a record, each. A dirty set rolls up
// before it holds more.
const MaxMarks = 50_000

// Target is what is known of one module on one target.
type Target struct {
	// Remote is host:port/module/dir the record is about. Another one than is
	// configured now makes the record worthless.
	Remote string
	// Pending holds what the target has not confirmed.
	Pending tree.Batch
	// Held holds the deletes that a guard keeps back.
	Held tree.Batch
	// FirstSyncDone: a sweep has ended with everything confirmed.
	FirstSyncDone bool
	// LastSuccess is when the target was last known to be equal; UTC.
	LastSuccess time.Time
	// InSync is the last moment known of which all that had changed by then stood on
	// the target, Oldest when the oldest of what it has not confirmed was marked; UTC,
	// zero for unknown and for nothing.
	InSync, Oldest time.Time
	// Failing says what is wrong with single paths.
	Failing []Failing
	// MOTD is the daemon's greeting text, Instance its name for itself: either
	// changes when another daemon answers.
	MOTD     string
	Instance string
	// Open: it was written while there could be more to come. Found so at a start, what
	// was marked last is unknown.
	Open bool
}

// Failing is a path that the target did not take.
type Failing struct {
	Path  tree.Path
	Class string
	Text  string
	Since time.Time // UTC
	Tries int
	Told  bool // somebody was told that it fails for long
}

// Module is what is known of a module, whatever the target.
type Module struct {
	// Identity of the root, in the form of the package that took it.
	Identity json.RawMessage
	// Entries counted by the last sweep.
	Entries int64
	// Path is the configured one, symlinks not resolved.
	Path string
	// Filter holds the rules that were in force.
	Filter []string
	// Machine names the host that wrote the record, "" for one without a name.
	Machine string
}

// check refuses what a later Load would not accept.
func (t Target) check() error {
	if len(t.Failing) > MaxMarks {
		return fmt.Errorf("%d failing paths, more than %d", len(t.Failing), MaxMarks)
	}
	for _, f := range t.Failing {
		if _, err := tree.ParsePath(string(f.Path)); err != nil {
			return fmt.Errorf("failing: %w", err)
		}
	}
	if err := checkBatch(t.Pending); err != nil {
		return fmt.Errorf("pending: %w", err)
	}
	if err := checkBatch(t.Held); err != nil {
		return fmt.Errorf("held: %w", err)
	}
	return nil
}

func checkBatch(b tree.Batch) error {
	if len(b) > MaxMarks {
		return fmt.Errorf("%d marks, more than %d: roll them up first", len(b), MaxMarks)
	}
	for i, m := range b {
		if _, err := tree.ParsePath(string(m.Path)); err != nil {
			return err
		}
		if m.What == 0 || m.What > tree.All {
			return fmt.Errorf("mark of %q without a known meaning (%d)", m.Path, m.What)
		}
		if i > 0 && tree.Compare(b[i-1].Path, m.Path) >= 0 {
			return fmt.Errorf("mark of %q out of order", m.Path)
		}
	}
	return nil
}
