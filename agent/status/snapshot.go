package status

import (
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Snapshot is the state of a running agent at one moment.
type Snapshot struct {
	Version string   `json:"version"`
	PID     int      `json:"pid"`
	Modules []Module `json:"modules"`
	OnState []Hook   `json:"on_state,omitempty"`
}

// Module is the state of one replicated tree.
type Module struct {
	Name       string   `json:"name"`
	Path       string   `json:"path"`
	Watcher    string   `json:"watcher"`
	WatcherWhy string   `json:"watcher_why,omitempty"`
	Events     uint64   `json:"events"`
	Overflows  uint64   `json:"overflows"`
	Watched    int      `json:"watched_directories"`
	Blind      int      `json:"blind_subtrees"`
	BlindPaths []Path   `json:"blind_paths,omitempty"`
	Blocked    string   `json:"blocked,omitempty"`
	Targets    []Target `json:"targets"`
	Hooks      []Hook   `json:"hooks,omitempty"`
	// State is what a module without targets does: starting (not all of it is
	// watched yet), settling, idle or blocked. "" with targets.
	State State `json:"state,omitempty"`
}

// State says what a target's replica is doing.
type State string

// The states of a target, and Starting of a module without any.
const (
	Starting State = "starting"

	Idle     State = "idle"
	Settling State = "settling"
	Sending  State = "sending"
	Backoff  State = "backoff"
	Blocked  State = "blocked"
	Sweeping State = "sweeping"
	Paused   State = "paused"
)

// Target is the state of one module on one slave.
type Target struct {
	Name          string    `json:"name"`
	State         State     `json:"state"`
	Pending       int       `json:"pending"`
	OldestPending float64   `json:"oldest_pending_seconds"`
	Lag           float64   `json:"lag_seconds"`
	InSyncAsOf    Time      `json:"in_sync_as_of"`
	Failing       int       `json:"failing"`
	FailingPaths  []Failing `json:"failing_paths,omitempty"`
	HeldDeletes   int       `json:"held_deletes"`
	LastError     string    `json:"last_error"`
	Class         string    `json:"class"`
	NextTry       Time      `json:"next_try"`
	Links         string    `json:"links"`
	Owners        string    `json:"owners"`
	Sweep         Sweep     `json:"sweep"`
	Drift         Drift     `json:"drift"`
	Batches       int64     `json:"batches"`
	Files         int64     `json:"files"`
	Bytes         int64     `json:"bytes"`
	Deletes       int64     `json:"deletes"`
	Connections   int64     `json:"connections"`
}

// Behind reports whether the target is known not to equal the master now.
func (t Target) Behind() bool {
	return t.Pending > 0 || t.Failing > 0 || t.HeldDeletes > 0 || t.InSyncAsOf.IsZero() || t.State == Blocked
}

// Sweep is the progress of a running sweep: Entries compared so far, of what the
// module had at the last one. ETASeconds goes by how fast this one is or, before it has
// seen anything, by how long the last one took. Each is 0 when nothing is known yet.
type Sweep struct {
	Running    bool  `json:"running"`
	Entries    int64 `json:"entries"`
	Of         int64 `json:"of"`
	ETASeconds int64 `json:"eta_seconds"`
}

// Drift is what the last sweep that found any found changed on a slave by somebody
// else. At is zero when none did.
type Drift struct {
	At     Time `json:"at"`
	Differ int  `json:"differ"`
	Extra  int  `json:"extra"`
}

// Failing is one path that a target does not accept.
type Failing struct {
	Path
	Class string `json:"class"`
	Error string `json:"error"`
	Since Time   `json:"since"`
	Tries int    `json:"tries"`
	Next  Time   `json:"next_try"`
}

// Path is a file name in JSON: "path" when it is UTF-8, else "path_b64", since
// file names are bytes and JSON strings are not.
type Path struct {
	Name string
}

type pathJSON struct {
	Path    string `json:"path,omitempty"`
	PathB64 []byte `json:"path_b64,omitempty"`
}

func (v pathJSON) name() string { return v.Path + string(v.PathB64) }

func (p Path) encode() pathJSON {
	if utf8.ValidString(p.Name) {
		return pathJSON{Path: p.Name}
	}
	return pathJSON{PathB64: []byte(p.Name)}
}

// MarshalJSON implements json.Marshaler.
func (p Path) MarshalJSON() ([]byte, error) { return json.Marshal(p.encode()) }

// UnmarshalJSON implements json.Unmarshaler.
func (p *Path) UnmarshalJSON(data []byte) error {
	var v pathJSON
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	p.Name = v.name()
	return nil
}

// MarshalJSON puts the path's one key beside the failure's own.
func (f Failing) MarshalJSON() ([]byte, error) {
	return json.Marshal(f.flat())
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *Failing) UnmarshalJSON(data []byte) error {
	var v failingJSON
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	*f = Failing{
		Path: Path{Name: v.name()}, Class: v.Class, Error: v.Error,
		Since: v.Since, Tries: v.Tries, Next: v.Next,
	}
	return nil
}

type failingJSON struct {
	pathJSON
	Class string `json:"class"`
	Error string `json:"error"`
	Since Time   `json:"since"`
	Tries int    `json:"tries"`
	Next  Time   `json:"next_try"`
}

func (f Failing) flat() failingJSON {
	return failingJSON{f.encode(), f.Class, f.Error, f.Since, f.Tries, f.Next}
}

// Time is a moment in JSON: RFC 3339 in UTC with seconds, "" for none.
type Time struct{ time.Time }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte(`""`), nil
	}
	return json.Marshal(t.UTC().Format(time.RFC3339))
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Time) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil || s == "" {
		*t = Time{}
		return err
	}
	parsed, err := time.Parse(time.RFC3339, s)
	t.Time = parsed
	return err
}
