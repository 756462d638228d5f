package provision

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Actions of a Change.
const (
	ActionCreate  = "create"
	ActionUpdate  = "update"
	ActionRemove  = "remove"
	ActionStart   = "start"
	ActionRestart = "restart"
	ActionReload  = "reload"
	ActionEnable  = "enable"
)

// What a Change of a file or directory touched.
const (
	WhatContent = "content"
	WhatMode    = "mode"
	WhatOwner   = "owner"
)

// Codes of a Problem. A validator may use others.
const (
	CodeInvalid     = "invalid"     // the input is wrong; nothing was touched
	CodeLocked      = "locked"      // another run holds the lock
	CodeDrift       = "drift"       // a derived file was edited by hand; nothing was touched
	CodeType        = "type"        // something else stands where a file or directory is wanted
	CodeSymlink     = "symlink"     // a link stands where a managed directory is wanted
	CodeRights      = "rights"      // the operating system refused
	CodeService     = "service"     // the service manager failed
	CodeFailed      = "failed"      // any other operation failed
	CodeInterrupted = "interrupted" // the context ended
)

// Change is one change, done or (with check) pending.
type Change struct {
	Kind   string   `json:"kind"`
	Path   string   `json:"path"` // without the staging directory; a unit's name
	Action string   `json:"action"`
	What   []string `json:"what"`
	Secret bool     `json:"secret"`
}

// Diff is one entry of Ansible's diff: Before and After are both text or both
// map[string]any.
type Diff struct {
	Before       any    `json:"before"`
	After        any    `json:"after"`
	BeforeHeader string `json:"before_header"`
	AfterHeader  string `json:"after_header"`
}

// Problem is why a run failed.
type Problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Path    string `json:"path"`
	Line    int    `json:"line"` // 0 is unknown
	Hint    string `json:"hint"`
}

// Error returns the message, which names the path.
func (p *Problem) Error() string { return p.Message }

// Report says what was changed, or with Check what would be. It marshals to
// one JSON object of schema version 1, the same on failure; arrays are never
// null and diff is there only when it was asked for.
type Report struct {
	SchemaVersion   int      `json:"schema_version"`
	Role            string   `json:"role"`
	Version         string   `json:"version"`
	Check           bool     `json:"check"`
	Changed         bool     `json:"changed"`
	Failed          bool     `json:"failed"`
	Msg             string   `json:"msg"`
	Changes         []Change `json:"changes"`
	Diff            []Diff   `json:"diff,omitzero"` // nil is left out
	ReloadRequired  bool     `json:"reload_required"`
	RestartRequired bool     `json:"restart_required"`
	// RestartReasons say why a service was restarted or has to be.
	RestartReasons []string `json:"restart_reasons"`
	Warnings       []string `json:"warnings"`
	Error          *Problem `json:"error"`
}

// Failure returns the Report of a run that failed before it could converge.
func Failure(want Desired, opt Options, p Problem) Report {
	r := newReport(want, opt)
	r.Error = &p
	r.finish()
	return r
}

func newReport(want Desired, opt Options) Report {
	r := Report{
		SchemaVersion: 1, Role: want.Role, Version: want.Version, Check: opt.Check,
		Warnings: slices.Clone(want.Warnings),
	}
	if opt.Diff {
		r.Diff = []Diff{}
	}
	return r
}

// finish derives changed, failed and msg.
func (r *Report) finish() {
	r.Changed = len(r.Changes) > 0
	r.Failed = r.Error != nil
	r.Msg = r.count()
	if r.Failed {
		r.Msg = r.Error.Message
	}
}

func (r *Report) count() string {
	pending := ""
	if r.Check {
		pending = " pending"
	}
	switch n := len(r.Changes); n {
	case 0:
		return "no changes" + pending
	case 1:
		return "1 change" + pending
	default:
		return fmt.Sprintf("%d changes%s", n, pending)
	}
}

// MarshalJSON writes empty arrays where a slice is nil.
func (r Report) MarshalJSON() ([]byte, error) {
	type plain Report // without this method
	if r.SchemaVersion == 0 {
		r.SchemaVersion = 1
	}
	r.Changes = append([]Change{}, r.Changes...)
	for i := range r.Changes {
		r.Changes[i].What = append([]string{}, r.Changes[i].What...)
	}
	r.RestartReasons = append([]string{}, r.RestartReasons...)
	r.Warnings = append([]string{}, r.Warnings...)
	return json.Marshal(plain(r))
}

// ExitCode returns 0 for success, 1 for a failure, 2 for invalid input and,
// when detailed is asked for, 4 for a check that found changes pending.
func (r Report) ExitCode(detailed bool) int {
	switch {
	case r.Failed && r.Error != nil && r.Error.Code == CodeInvalid:
		return 2
	case r.Failed:
		return 1
	case r.Check && detailed && r.Changed:
		return 4
	}
	return 0
}
