package sersync

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// decodeText returns data as UTF-8, whatever the file declares: sersync's own
// file says ISO-8859-1 and is edited in UTF-8 or GBK.
func decodeText(data []byte) string {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if utf8.Valid(data) {
		return string(data)
	}
	if text, err := simplifiedchinese.GB18030.NewDecoder().Bytes(data); err == nil && !bytes.ContainsRune(text, utf8.RuneError) {
		return string(text)
	}
	text, err := charmap.ISO8859_1.NewDecoder().Bytes(data)
	if err != nil { // every byte is a character of it
		return strings.ToValidUTF8(string(data), "?")
	}
	return string(text)
}

// blank replaces what is no element by blanks, line ends kept: comments, in
// which people write two hyphens, declarations, and control characters.
func blank(text string) string {
	out := []byte(text)
	for i := 0; i < len(out); {
		end, ok := endOfMarkup(text[i:])
		if !ok {
			if out[i] < ' ' && out[i] != '\n' && out[i] != '\t' || out[i] == 0x7f {
				out[i] = ' '
			}
			i++
			continue
		}
		for ; end > 0; end-- {
			if out[i] != '\n' {
				out[i] = ' '
			}
			i++
		}
	}
	return string(out)
}

// endOfMarkup returns how long the comment or declaration is that text begins
// with, if it does. One without an end goes to the end of the text.
func endOfMarkup(text string) (int, bool) {
	for _, m := range [...]struct{ open, shut string }{{"<!--", "-->"}, {"<?", "?>"}, {"<!DOCTYPE", ">"}} {
		if !strings.HasPrefix(text, m.open) {
			continue
		}
		if i := strings.Index(text[len(m.open):], m.shut); i >= 0 {
			return len(m.open) + i + len(m.shut), true
		}
		return len(text), true
	}
	return 0, false
}
