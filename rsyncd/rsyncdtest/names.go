package rsyncdtest

import (
	"fmt"
	"strings"
)

// HostileNames are file names that have broken lists, shells, patterns and
// logs.
func HostileNames() []string {
	return []string{
		"new\nline", "carriage\rreturn", "tab\tname", " leading blank", "trailing blank ", " ",
		`quote"s`, "apostrophe's", "back`tick`", "$(touch PWNED)", "${HOME}", "a;b", "a|b", "a&b", "a>b",
		"-rf", "--delete", "-e", "#comment", ";comment", "[abc]", "[", "*", "?", "**", "{a,b}", "!", "~", "~root",
		`back\slash`, `trailing\`, `\#012`, `\n`, "%s%n", "+ plus", "- minus", ". dot", "...", ".hidden",
		".x.AbC123", "\x01\x1b[31m", "\x7f", "invalid\xff\xfeutf8", "\xc3", "中文", "é", "e\u0301", "\u202egnp.exe",
		"CON", "a:b", "user@host:path", "rsync:", strings.Repeat("n", 255), strings.Repeat("\xff", 255),
	}
}

// name is mostly one of a few, so that edits meet, and sometimes hostile.
func (c *Churn) name() string {
	switch c.rand.IntN(8) {
	case 0, 1:
		names := HostileNames()
		return names[c.rand.IntN(len(names))]
	case 2:
		return fmt.Sprintf("d%d", c.rand.IntN(5))
	default:
		return fmt.Sprintf("f%d.txt", c.rand.IntN(30))
	}
}
