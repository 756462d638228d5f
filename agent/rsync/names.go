package rsync

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"syncagent/agent/tree"
)

// unescape turns \#ooo (three octal digits) back into the byte it stands for.
// Rsync writes control characters so, in the C locale every byte from 0x80 on
// as well, and a backslash that would otherwise look like an escape.
func unescape(s string) string {
	if !strings.Contains(s, `\#`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c, ok := octal(s[i:]); ok {
			b.WriteByte(c)
			i += len(`\#ooo`) - 1
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(s string) (byte, bool) {
	if len(s) < 5 || s[0] != '\\' || s[1] != '#' {
		return 0, false
	}
	n := 0
	for _, d := range []byte(s[2:5]) {
		if d < '0' || d > '7' {
			return 0, false
		}
		n = n*8 + int(d-'0')
	}
	return byte(n), n < 256
}

// parseName reads a name as rsync prints it below the transfer's root; "./"
// is the root.
func parseName(s string) (path tree.Path, dir, ok bool) {
	s = unescape(s)
	if s == "./" || s == "." {
		return tree.Root, true, true
	}
	s, dir = strings.CutSuffix(s, "/")
	if s == "" {
		return tree.Root, dir, false
	}
	path, err := tree.ParsePath(s)
	return path, dir, err == nil
}

// printable makes text of a peer or of file names safe to show: one line, at
// most limit bytes, nothing that steers a terminal.
func printable(s string, limit int) string {
	s = strings.TrimSpace(s)
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
