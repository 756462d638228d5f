package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"syncagent/agent/tree"
)

// the frame of a record, see doc.go
const (
	magic   = "syncagent journal 1 "
	sumMark = "sha256 "
	sumLen  = len(sumMark) + 2*sha256.Size + 1
)

const (
	kindModule = "module"
	kindTarget = "target"
)

var (
	errSum    = errors.New("its checksum is wrong")
	errFormat = errors.New("it is no record of this version")
)

// encode frames the JSON form of head and the marks.
func encode(kind string, head any, batches ...tree.Batch) ([]byte, error) {
	line, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	size := len(magic) + len(kind) + len(line) + 2 + sumLen
	for _, b := range batches {
		for _, m := range b {
			size += len(m.Path) + 2
		}
	}
	out := make([]byte, 0, size)
	out = append(append(append(out, magic...), kind...), '\n')
	out = append(append(out, line...), '\n')
	for _, b := range batches {
		for _, m := range b {
			out = append(out, '0'+byte(m.What))
			out = append(append(out, m.Path...), 0)
		}
	}
	return append(out, sum(out)...), nil
}

func sum(body []byte) string {
	digest := sha256.Sum256(body)
	return sumMark + hex.EncodeToString(digest[:]) + "\n"
}

// decode checks the frame, decodes the JSON line into head and returns the bytes
// of the marks.
func decode(data []byte, kind string, head any) ([]byte, error) {
	if len(data) < sumLen {
		return nil, fmt.Errorf("%w: it ends early", errSum)
	}
	body := data[:len(data)-sumLen]
	if string(data[len(body):]) != sum(body) {
		return nil, errSum
	}
	rest, ok := bytes.CutPrefix(body, []byte(magic+kind+"\n"))
	if !ok {
		return nil, errFormat
	}
	line, marks, ok := bytes.Cut(rest, []byte("\n"))
	if !ok {
		return nil, errFormat
	}
	// a field this version does not know may change what the others mean
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(head); err != nil {
		return nil, fmt.Errorf("%w: %w", errFormat, err)
	}
	if dec.More() {
		return nil, errFormat
	}
	return marks, nil
}

// takeMarks decodes n marks off the front of data.
func takeMarks(data []byte, n int) (tree.Batch, []byte, error) {
	if n < 0 || n > MaxMarks {
		return nil, nil, fmt.Errorf("%w: %d marks", errFormat, n)
	}
	if n == 0 {
		return nil, data, nil
	}
	b := make(tree.Batch, 0, n)
	for range n {
		mark, rest, ok := bytes.Cut(data, []byte{0})
		if !ok || len(mark) == 0 {
			return nil, nil, fmt.Errorf("%w: marks are missing", errFormat)
		}
		b = append(b, tree.Mark{Path: tree.Path(mark[1:]), What: tree.What(mark[0] - '0')})
		data = rest
	}
	return b, data, nil
}

// text is a string in JSON that need not be UTF-8.
type text string

func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(inBase64{[]byte(t)})
}

func (t *text) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(t))
	}
	var in inBase64
	err := json.Unmarshal(data, &in)
	*t = text(in.B64)
	return err
}

type inBase64 struct {
	B64 []byte `json:"b64"`
}
