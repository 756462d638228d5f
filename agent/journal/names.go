package journal

import (
	"errors"
	"fmt"
	"strings"
)

var errNoName = errors.New("use journal: a record needs the names of its module and target")

const (
	moduleSuffix = "." + kindModule
	targetSuffix = "." + kindTarget
	separator    = "@"
)

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
