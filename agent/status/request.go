package status

import (
	"context"
	"encoding/json"
)

// Scope names the modules and targets a request is about; an empty name means
// every one.
type Scope struct {
	Module string `json:"module,omitempty"`
	Target string `json:"target,omitempty"`
}

// Holds reports whether the scope includes the target of the module.
func (s Scope) Holds(module, target string) bool {
	return (s.Module == "" || s.Module == module) && (s.Target == "" || s.Target == target)
}

// SyncRequest asks for a sweep now.
type SyncRequest struct {
	Scope
	DryRun bool `json:"dry_run,omitempty"`
	// Checksum reads every byte on both sides.
	Checksum bool `json:"checksum,omitempty"`
}

// SyncUpdate is one line of a sync's progress. The last one of a target has
// Done set.
type SyncUpdate struct {
	Module  string       `json:"module"`
	Target  string       `json:"target"`
	State   State        `json:"state"`
	Pending int          `json:"pending"`
	Done    bool         `json:"done"`
	Equal   bool         `json:"equal"`
	Error   string       `json:"error,omitempty"`
	Differ  []Difference `json:"differ,omitempty"`
	Held    int          `json:"held_deletes,omitempty"`
	Sweep   Sweep        `json:"sweep,omitzero"`
}

// Difference is one path that is not the same on a slave.
type Difference struct {
	Path
	Change string `json:"change"`
}

type differenceJSON struct {
	pathJSON
	Change string `json:"change"`
}

// MarshalJSON puts the path's one key beside the change.
func (d Difference) MarshalJSON() ([]byte, error) {
	return json.Marshal(differenceJSON{d.encode(), d.Change})
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *Difference) UnmarshalJSON(data []byte) error {
	var v differenceJSON
	err := json.Unmarshal(data, &v)
	*d = Difference{Path{v.name()}, v.Change}
	return err
}

// Held is what a guard holds back for one target of a module.
type Held struct {
	Module string `json:"module"`
	Target string `json:"target,omitempty"`
	// Reason is one line: which guard, and what it saw.
	Reason string `json:"reason"`
	Count  int    `json:"count"`
	Paths  []Path `json:"paths,omitempty"`
	// Digest names exactly this set. An approval carries it, so that what
	// changed after it was shown is not approved.
	Digest string `json:"digest"`
}

// ApproveRequest accepts what was shown under the digests.
type ApproveRequest struct {
	Digests []string `json:"digests"`
}

// Agent is a running agent as its socket sees it.
type Agent interface {
	Snapshot() Snapshot
	Sync(ctx context.Context, req SyncRequest, tell func(SyncUpdate)) error
	Guard
	Operated
}

// Guard is the part of an agent that holds things back.
type Guard interface {
	Held(Scope) []Held
	Approve(ApproveRequest) error
}
