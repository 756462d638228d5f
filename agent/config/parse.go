package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a configuration in bytes: thousands of modules fit.
const maxFile = 1 << 20

// readFile reads at most a byte more than a configuration may have.
func readFile(file string, role Role) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, openFault(file, role, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, openFault(file, role, err)
	}
	return data, nil
}

func openFault(file string, role Role, err error) error {
	f := &Fault{File: file, Problem: "cannot be read: " + reason(err), Hint: "look at the path and its permissions"}
	if errors.Is(err, fs.ErrNotExist) {
		f.Problem, f.Hint = "does not exist", "agent init "+string(role)+" writes it"
	}
	return Faults{f}
}

// reason is an error of the system without the path it repeats.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// parse reads data into a tree whose root is a mapping.
func parse(name string, data []byte) (*yaml.Node, error) {
	if len(data) > maxFile {
		return nil, Faults{{File: name, Problem: fmt.Sprintf("has more than %d bytes", maxFile), Hint: "is it the right file?"}}
	}
	read := parseYAML
	switch filepath.Ext(name) {
	case ".toml":
		read = parseTOML
	case ".json":
		read = parseJSON
	}
	root, fault := read(data)
	if fault != nil {
		fault.File = name
		return nil, Faults{fault}
	}
	return root, nil
}

// emptyMap stands for a file without content.
func emptyMap() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

func parseYAML(data []byte) (*yaml.Node, *Fault) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return emptyMap(), nil
	} else if err != nil {
		return nil, yamlFault(data, err)
	}
	if err := dec.Decode(&next); err == nil {
		return nil, &Fault{Line: next.Line, Problem: "a second document begins", Hint: "keep one; --- may stand on the first line alone"}
	} else if !errors.Is(err, io.EOF) {
		return nil, yamlFault(data, err)
	}
	root := doc.Content[0]
	switch {
	case isNull(root):
		return emptyMap(), nil
	case root.Kind != yaml.MappingNode:
		return nil, &Fault{Line: root.Line, Problem: "must be a mapping, not " + kindOnly(root), Hint: "write key: value lines"}
	}
	return root, nil
}

// yamlFault takes the line out of the parser's own words. The parser counts
// lines from 0, its scanner from 1, neither names the first line, and an
// unknown anchor has none (yaml/v3, decode.go, fail).
func yamlFault(data []byte, err error) *Fault {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	f := &Fault{Hint: "mend the YAML there or just above"}
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		digits, tail, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(digits); err == nil {
			f.Line, text = n, tail
		}
	}
	_, anchor, _ := strings.Cut(text, "unknown anchor '")
	anchor, _, _ = strings.Cut(anchor, "'")
	switch {
	case anchor != "":
		f.Line = lineAt(data, bytes.Index(data, []byte("*"+anchor)))
	case f.Line == 0 || fromParser(text):
		f.Line++
	}
	switch {
	case strings.Contains(text, "tab character"):
		f.Hint = "indent with blanks, not tabs"
	case strings.Contains(text, "cannot start any token"):
		f.Hint = "indent with blanks, not tabs, and quote values that begin with @, ` or %"
	}
	f.Problem = "unreadable YAML: " + strings.ReplaceAll(text, "\n", " ")
	return f
}

// lineAt is the line of an offset; both ends of the data will do.
func lineAt(data []byte, offset int) int {
	offset = max(0, min(offset, len(data)))
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}

// fromParser tells the parser's messages from the scanner's.
func fromParser(text string) bool {
	return strings.HasPrefix(text, "did not find expected") && !strings.Contains(text, "comment or line break") ||
		strings.HasPrefix(text, "found undefined tag handle")
}

// parseJSON checks the syntax as JSON first, then reads it as YAML, of which
// it is a part, to have the lines.
func parseJSON(data []byte) (*yaml.Node, *Fault) {
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	if err == nil {
		return parseYAML(plainEscapes(data))
	}
	f := &Fault{Problem: "unreadable JSON: " + err.Error(), Hint: "mend it there or just before"}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		f.Line = lineAt(data, int(syntax.Offset))
	}
	return nil, f
}

// plainEscapes writes out the two escapes of JSON that the YAML scanner does
// not know: a slash, and a character as a pair of surrogates.
func plainEscapes(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' || i+1 == len(data) {
			out = append(out, data[i])
			continue
		}
		if data[i+1] == 'u' && i+12 <= len(data) {
			high, _ := strconv.ParseUint(string(data[i+2:i+6]), 16, 16)
			low, _ := strconv.ParseUint(string(data[i+8:i+12]), 16, 16)
			if r := utf16.DecodeRune(rune(high), rune(low)); r != unicode.ReplacementChar && string(data[i+6:i+8]) == `\u` {
				out = utf8.AppendRune(out, r)
				i += 11
				continue
			}
		}
		if data[i+1] != '/' {
			out = append(out, data[i])
		}
		i++
		out = append(out, data[i])
	}
	return out
}
