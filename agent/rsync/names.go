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
			i += escapeLen - 1
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

const escapeLen = len(`\#ooo`)

func octal(s string) (byte, bool) {
	if len(s) < escapeLen || s[0] != '\\' || s[1] != '#' {
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

// spelled turns the escapes that together are a printable character beyond ASCII
// back into it, so that people can read their own file names. All others stay.
func spelled(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		var seq []byte
		for c, ok := octal(s[i:]); ok && c >= utf8.RuneSelf && len(seq) < utf8.UTFMax && !utf8.FullRune(seq); {
			seq = append(seq, c)
			c, ok = octal(s[i+escapeLen*len(seq):])
		}
		if r, n := utf8.DecodeRune(seq); n == len(seq) && n > 1 && unicode.IsPrint(r) {
			b.WriteRune(r)
			i += escapeLen * n
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
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
	s = strings.TrimSpace(spelled(s))
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
