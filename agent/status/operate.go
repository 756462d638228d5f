package status

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// ErrUnknown is wrapped when nothing has the names of a request.
var ErrUnknown = errors.New("no module and target have these names")

// WaitUpdate says what one target still lacks of what changed before a wait. The
// last one of a target that has it all is Done.
type WaitUpdate struct {
	Module  string `json:"module"`
	Target  string `json:"target"`
	Done    bool   `json:"done"`
	State   State  `json:"state"`
	Pending int    `json:"pending"`
	Failing int    `json:"failing"`
	Held    int    `json:"held_deletes"`
	// Waiting is one line: what it waits for, and what to do if that lasts.
	Waiting string `json:"waiting"`
}

// PauseRequest has nothing sent to the targets in scope, or sent again.
type PauseRequest struct {
	Scope
	Paused bool `json:"paused"`
	// Until has nothing sent before that time, or before the agent ends. It ends by
	// itself; a time in the past ends it at once. Paused then says nothing.
	Until *time.Time `json:"until,omitempty"`
}

// RetryRequest has failing paths tried at once: all, or those at and below a path,
// which is absolute or relative to the module's directory.
type RetryRequest struct {
	Scope
	Path Path `json:"path"`
}

// Changed is what a request changed on one target.
type Changed struct {
	Module string `json:"module"`
	Target string `json:"target"`
	State  State  `json:"state"`
	// Paths is how many failing paths are tried again.
	Paths int `json:"paths"`
	// Error is set when the request holds, but would not survive a restart.
	Error string `json:"error,omitempty"`
}

// ExplainRequest asks what becomes of a path.
type ExplainRequest struct {
	Scope
	Path Path `json:"path"`
}

// Explanation is what becomes of one path in one module.
type Explanation struct {
	Module string `json:"module"`
	Path   Path   `json:"path"`
	// Entry is what stands there now: file, directory, symlink, other, missing.
	Entry    string `json:"entry"`
	Excluded bool   `json:"excluded"`
	// Rule is the text of the rule that decided, and RulePath what it matched: the
	// path or a directory above it; empty when none did.
	Rule     string `json:"rule"`
	RulePath Path   `json:"rule_path"`
	Watched  bool   `json:"watched"`
	// Watcher says what watches the path, or why nothing does.
	Watcher string            `json:"watcher"`
	Blocked string            `json:"blocked,omitempty"`
	Targets []ExplainedTarget `json:"targets"`
}

// ExplainedTarget is where a path stands on one target.
type ExplainedTarget struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Where is the way station: confirmed, dirty, sending, failing, held, or sweep
	// when only the sweep under way can tell.
	Where       string `json:"where"`
	LastSuccess Time   `json:"last_success"`
	Class       string `json:"class"`
	// Error is rsync's last word on the path or, if the target takes nothing, on that.
	Error string `json:"error"`
	Since Time   `json:"since"`
	Tries int    `json:"tries"`
	Next  Time   `json:"next_try"`
	// Last is nil when none is on record: the last thousand since the start are.
	Last *Attempt `json:"last_attempt"`
}

// Attempt is what was last done about a path, whether the target took it or not.
type Attempt struct {
	// Path is the one that was asked about, or a directory above it that went as a whole.
	Path
	Time Time
	// Did is: sent, attributes sent, sent as a tree, deleted.
	Did string
	// Class and Error are empty when rsync had nothing to say against it.
	Class, Error string
}

type attemptJSON struct {
	pathJSON
	Time  Time   `json:"time"`
	Did   string `json:"did"`
	Class string `json:"class"`
	Error string `json:"error"`
}

// MarshalJSON puts the path's one key beside the others.
func (a Attempt) MarshalJSON() ([]byte, error) {
	return json.Marshal(attemptJSON{a.Path.encode(), a.Time, a.Did, a.Class, a.Error})
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *Attempt) UnmarshalJSON(data []byte) error {
	var v attemptJSON
	err := json.Unmarshal(data, &v)
	*a = Attempt{Path{v.name()}, v.Time, v.Did, v.Class, v.Error}
	return err
}

// Operated is the part of an agent that an operator steers.
type Operated interface {
	Wait(ctx context.Context, s Scope, tell func(WaitUpdate)) error
	Pause(PauseRequest) []Changed
	Retry(RetryRequest) ([]Changed, error)
	Explain(ExplainRequest) ([]Explanation, error)
	Has(Scope) bool
}

func operate(mux *http.ServeMux, a Operated) {
	mux.HandleFunc("POST /wait", func(w http.ResponseWriter, r *http.Request) {
		var s Scope
		if !decode(w, r, &s) || !known(w, a, s) {
			return
		}
		enc, flush := json.NewEncoder(w), http.NewResponseController(w)
		_ = a.Wait(r.Context(), s, func(u WaitUpdate) {
			_ = enc.Encode(u) // the client is gone: nobody to tell
			_ = flush.Flush()
		})
	})
	mux.HandleFunc("POST /pause", func(w http.ResponseWriter, r *http.Request) {
		var req PauseRequest
		if decode(w, r, &req) && known(w, a, req.Scope) {
			reply(w, a.Pause(req))
		}
	})
	mux.HandleFunc("POST /retry", func(w http.ResponseWriter, r *http.Request) {
		var req RetryRequest
		if decode(w, r, &req) && known(w, a, req.Scope) {
			list, err := a.Retry(req)
			answer(w, list, err)
		}
	})
	mux.HandleFunc("POST /explain", func(w http.ResponseWriter, r *http.Request) {
		var req ExplainRequest
		if decode(w, r, &req) && (req.Target == "" || known(w, a, req.Scope)) { // a module may have no target
			list, err := a.Explain(req)
			answer(w, list, err)
		}
	})
}

func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func known(w http.ResponseWriter, a Operated, s Scope) bool {
	if !a.Has(s) {
		http.Error(w, "nothing has these names", http.StatusNotFound)
		return false
	}
	return true
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	reply(w, v)
}

// Wait returns when everything that changed before the call stands on the targets
// in scope. It calls tell with what it waits for.
func (c *Client) Wait(ctx context.Context, s Scope, tell func(WaitUpdate)) error {
	return stream(ctx, c, "/wait", s, tell)
}

// Pause has nothing sent to the targets in scope, or sent again.
func (c *Client) Pause(ctx context.Context, req PauseRequest) ([]Changed, error) {
	return post[[]Changed](ctx, c, "/pause", req)
}

// Retry has failing paths tried at once.
func (c *Client) Retry(ctx context.Context, req RetryRequest) ([]Changed, error) {
	return post[[]Changed](ctx, c, "/retry", req)
}

// Explain tells what becomes of a path.
func (c *Client) Explain(ctx context.Context, req ExplainRequest) ([]Explanation, error) {
	return post[[]Explanation](ctx, c, "/explain", req)
}
