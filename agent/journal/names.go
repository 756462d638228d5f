package journal

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// Name says whose a record is.
type Name struct {
	Module string
	Target string // "" for the record of the module itself
}

var errNoName = errors.New("use journal: a record needs the names of its module and target")

const (
	moduleSuffix = "." + kindModule
	targetSuffix = "." + kindTarget
	separator    = "@"
)

// List returns the names of all records, in the order of their file names; whether they can be used
// is not looked at.
func (s *Store) List() ([]Name, error) {
	release, err := s.hold()
	if err != nil {
		return nil, err
	}
	defer release()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list journal: %w", err)
	}
	var names []Name
	for _, e := range entries {
		if name, ok := parseName(e.Name()); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

func moduleName(module string) (string, error) {
	if module == "" {
		return "", errNoName
	}
	return escape(module) + moduleSuffix, nil
}

func targetName(module, target string) (string, error) {
	if module == "" || target == "" {
		return "", errNoName
	}
	return escape(module) + separator + escape(target) + targetSuffix, nil
}

// parseName undoes moduleName and targetName.
func parseName(file string) (Name, bool) {
	var name Name
	var made string
	var err error
	if rest, ok := strings.CutSuffix(file, targetSuffix); ok {
		module, target, _ := strings.Cut(rest, separator)
		name = Name{unescape(module), unescape(target)}
		made, err = targetName(name.Module, name.Target)
	} else {
		name = Name{Module: unescape(strings.TrimSuffix(file, moduleSuffix))}
		made, err = moduleName(name.Module)
	}
	return name, err == nil && made == file
}

func escape(s string) string {
	var out strings.Builder
	for i := range len(s) {
		if c := s[i]; isPlain(c) {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._-", c) >= 0
}

// unescape returns "" for what escape never writes; what else it should refuse shows when it
// is escaped again.
func unescape(s string) string {
	out, err := url.PathUnescape(s)
	if err != nil {
		return ""
	}
	return out
}
