package root

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"syncagent/agent/tree"
)

// jsonPath is a path in JSON: `path`, or `path_b64` where it is not UTF-8, which
// JSON strings cannot hold.
type jsonPath struct {
	Path string `json:"path,omitempty"`
	B64  []byte `json:"path_b64,omitempty"`
}

func jsonPathOf(s string) jsonPath {
	if utf8.ValidString(s) {
		return jsonPath{Path: s}
	}
	return jsonPath{B64: []byte(s)}
}

func (p jsonPath) String() string {
	if len(p.B64) > 0 {
		return string(p.B64)
	}
	return p.Path
}

type jsonDir struct {
	jsonPath
	FS FS `json:"fs"`
	Node
	Problem string `json:"problem,omitempty"`
}

type jsonIdentity struct {
	jsonDir
	Mounts []jsonDir `json:"mounts,omitempty"`
}

// MarshalJSON writes the form that stands in the journal.
func (known Identity) MarshalJSON() ([]byte, error) {
	out := jsonIdentity{jsonDir: jsonDir{jsonPath: jsonPathOf(known.Path), FS: known.FS, Node: known.Node}}
	for _, m := range known.Mounts {
		out.Mounts = append(out.Mounts, jsonDir{jsonPathOf(string(m.Path)), m.FS, m.Node, m.Problem})
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (known *Identity) UnmarshalJSON(data []byte) error {
	var in jsonIdentity
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*known = Identity{Path: in.String(), FS: in.FS, Node: in.Node}
	for _, m := range in.Mounts {
		p, err := tree.ParsePath(m.String())
		if err != nil || p == tree.Root {
			return fmt.Errorf("decode identity: mount point %q: %w", m.String(), tree.ErrPath)
		}
		known.Mounts = append(known.Mounts, Mount{p, m.FS, m.Node, m.Problem})
	}
	return nil
}
