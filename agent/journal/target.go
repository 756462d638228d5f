package journal

import (
	"errors"
	"fmt"
	"time"

	"syncagent/agent/tree"
)

type targetHead struct {
	Module        text          `json:"module"`
	Target        text          `json:"target"`
	Pending       int           `json:"pending"`
	Held          int           `json:"held"`
	Remote        text          `json:"remote"`
	FirstSyncDone bool          `json:"first_sync_done"`
	LastSuccess   time.Time     `json:"last_success,omitzero"`
	InSync        time.Time     `json:"in_sync,omitzero"`
	Oldest        time.Time     `json:"oldest,omitzero"`
	Failing       []failingHead `json:"failing,omitempty"`
	MOTD          text          `json:"motd,omitempty"`
	Instance      text          `json:"instance,omitempty"`
	Open          bool          `json:"open,omitempty"`
}

type failingHead struct {
	Path  text      `json:"path"`
	Class text      `json:"class"`
	Text  text      `json:"text"`
	Since time.Time `json:"since,omitzero"`
	Tries int       `json:"tries"`
	Told  bool      `json:"told,omitempty"`
}

// LoadTarget returns the record of a module on a target. The error is fs.ErrNotExist
// when there is none, a *CorruptError when there was one that cannot be used.
func (s *Store) LoadTarget(module, target string) (Target, error) {
	name, err := targetName(module, target)
	if err != nil {
		return Target{}, err
	}
	var rec Target
	err = s.load(name, func(data []byte) error {
		rec, err = decodeTarget(data, module, target)
		return err
	})
	if err != nil {
		return Target{}, err
	}
	return rec, nil
}

// SaveTarget replaces the record of a module on a target. When it fails the old one
// stays. It refuses batches that are out of order or above MaxMarks.
func (s *Store) SaveTarget(module, target string, rec Target) error {
	name, err := targetName(module, target)
	if err != nil {
		return err
	}
	data, err := encodeTarget(rec, module, target)
	if err != nil {
		return fmt.Errorf("save journal of module %q on target %q: %w", module, target, err)
	}
	return s.save(name, data)
}

// RemoveTarget removes the record of a module on a target, and its pause, if there is
// any.
func (s *Store) RemoveTarget(module, target string) error {
	name, err := targetName(module, target)
	if err != nil {
		return err
	}
	return errors.Join(s.remove(name), s.SetPaused(module, target, false))
}

func encodeTarget(rec Target, module, target string) ([]byte, error) {
	if err := rec.check(); err != nil {
		return nil, err
	}
	head := targetHead{
		Module: text(module), Target: text(target),
		Pending: len(rec.Pending), Held: len(rec.Held),
		Remote:        text(rec.Remote),
		FirstSyncDone: rec.FirstSyncDone,
		LastSuccess:   rec.LastSuccess.UTC(),
		InSync:        rec.InSync.UTC(), Oldest: rec.Oldest.UTC(),
		MOTD: text(rec.MOTD), Instance: text(rec.Instance),
		Open: rec.Open,
	}
	for _, f := range rec.Failing {
		head.Failing = append(head.Failing, failingHead{text(f.Path), text(f.Class), text(f.Text), f.Since.UTC(), f.Tries, f.Told})
	}
	return encode(kindTarget, head, rec.Pending, rec.Held)
}

func decodeTarget(data []byte, module, target string) (Target, error) {
	var head targetHead
	marks, err := decode(data, kindTarget, &head)
	if err != nil {
		return Target{}, err
	}
	if string(head.Module) != module || string(head.Target) != target {
		return Target{}, fmt.Errorf("it is about module %q on target %q", head.Module, head.Target)
	}
	rec := Target{
		Remote:        string(head.Remote),
		FirstSyncDone: head.FirstSyncDone,
		LastSuccess:   head.LastSuccess,
		InSync:        head.InSync, Oldest: head.Oldest,
		MOTD: string(head.MOTD), Instance: string(head.Instance),
		Open: head.Open,
	}
	for _, f := range head.Failing {
		rec.Failing = append(rec.Failing, Failing{tree.Path(f.Path), string(f.Class), string(f.Text), f.Since, f.Tries, f.Told})
	}
	if rec.Pending, marks, err = takeMarks(marks, head.Pending); err != nil {
		return Target{}, err
	}
	if rec.Held, marks, err = takeMarks(marks, head.Held); err != nil {
		return Target{}, err
	}
	if len(marks) > 0 {
		return Target{}, fmt.Errorf("%w: %d bytes too many", errFormat, len(marks))
	}
	return rec, rec.check()
}
