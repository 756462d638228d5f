package hook

import (
	"cmp"
	"encoding/json"
	"path"
	"time"
	"unicode/utf8"

	"syncagent/agent/tree"
)

// Op is what happened to a path on the slave.
type Op string

// The ops.
const (
	Put    Op = "put"    // it was created or rewritten
	Attrs  Op = "attrs"  // only its mode, owner or times
	Delete Op = "delete" // it is gone, with all below it
	Tree   Op = "tree"   // a directory and any of what is below it
)

// Path is one path of an Event.
type Path struct {
	Path  tree.Path
	Op    Op
	Dir   bool   // for a delete: as far as known
	Error string // when it failed
}

// Event is what a hook is told: a push's paths, or a target's state.
type Event struct {
	Module string
	Root   string // the module's directory on this host
	Target string // "" when it is about all of them
	OK     bool   // false: the paths failed
	Time   time.Time
	Paths  []Path
	State  *State // instead of Paths

	delivery string
}

// State is a target's state that has lasted, or has ended.
type State struct {
	State string // blocked, backoff or well
	Class string
	Error string
	Since time.Time
}

// Abs is the path on this host.
func (e Event) Abs(p tree.Path) string { return path.Join(e.Root, string(p)) }

// result is the word for OK.
func (e Event) result() string {
	if e.OK {
		return "success"
	}
	return "failure"
}

// single returns one event a path.
func (e Event) single() []Event {
	if e.State != nil {
		return []Event{e}
	}
	list := make([]Event, len(e.Paths))
	for i := range e.Paths {
		list[i] = e
		list[i].Paths = e.Paths[i : i+1]
	}
	return list
}

// weight is what an event takes of a queue.
func (e Event) weight() int { return max(1, len(e.Paths)) }

// message is an Event in JSON. A name that is no UTF-8 stands as path_b64.
type message struct {
	Delivery string        `json:"delivery"`
	Module   string        `json:"module"`
	Target   string        `json:"target,omitempty"`
	Root     string        `json:"root"`
	Result   string        `json:"result,omitempty"`
	Time     string        `json:"time"`
	Paths    []pathMessage `json:"paths,omitempty"`

	State string `json:"state,omitempty"`
	Class string `json:"class,omitempty"`
	Error string `json:"error,omitempty"`
	Since string `json:"since,omitempty"`
}

type pathMessage struct {
	Path    string `json:"path,omitempty"`
	PathB64 []byte `json:"path_b64,omitempty"`
	Op      Op     `json:"op"`
	Dir     bool   `json:"dir"`
	Error   string `json:"error,omitempty"`
}

// encode returns one line of JSON without its end.
func (e Event) encode() ([]byte, error) {
	m := message{
		Delivery: e.delivery, Module: e.Module, Target: e.Target, Root: e.Root,
		Time: e.Time.UTC().Format(time.RFC3339Nano),
	}
	if s := e.State; s != nil {
		m.State, m.Class, m.Error = s.State, s.Class, s.Error
		m.Since = s.Since.UTC().Format(time.RFC3339)
		return json.Marshal(m)
	}
	m.Result = e.result()
	for _, p := range e.Paths {
		one := pathMessage{Path: cmp.Or(string(p.Path), "."), Op: p.Op, Dir: p.Dir, Error: p.Error}
		if !utf8.ValidString(one.Path) {
			one.Path, one.PathB64 = "", []byte(p.Path)
		}
		m.Paths = append(m.Paths, one)
	}
	return json.Marshal(m)
}
