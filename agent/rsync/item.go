package rsync

import (
	"strconv"
	"strings"

	"syncagent/agent/tree"
)

// codeLen is the width of what --itemize-changes prints before a name.
const codeLen = 11

// item is one line of outFormat.
type item struct {
	code string // codeLen characters: update type, file type, what differs
	path tree.Path
	dir  bool
	size int64 // bytes; 0 for what is deleted
}

// parseItem reads one line of outFormat; ok is false for anything else that
// rsync prints. With -ii there is a line for every entry looked at, equal or
// not. The format is rsync(1)'s, at --itemize-changes.
func parseItem(line string) (it item, ok bool) {
	if len(line) <= codeLen || line[codeLen] != '|' {
		return item{}, false
	}
	it.code = line[:codeLen]
	name, size, found := cutLast(line[codeLen+1:], '|')
	if !found || !it.valid() {
		return item{}, false
	}
	var err error
	if it.size, err = strconv.ParseInt(size, 10, 64); err != nil {
		return item{}, false
	}
	it.path, it.dir, ok = parseName(name)
	return it, ok
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func (it item) valid() bool {
	return it.deleting() ||
		strings.IndexByte("<>ch.", it.code[0]) >= 0 && strings.IndexByte("fdLDS", it.code[1]) >= 0
}

// deleting: the slave's entry goes, or in a dry run would go.
func (it item) deleting() bool { return it.code == "*deleting  " }

// created: the slave did not have it.
func (it item) created() bool { return strings.HasSuffix(it.code, "+++++++++") }

// sent: a regular file's content was sent, or in a dry run would be.
func (it item) sent() bool { return it.code[0] == '<' && it.code[1] == 'f' }

// equal: nothing differs.
func (it item) equal() bool {
	return (it.code[0] == '.' || it.code[0] == 'h') && strings.Trim(it.code[2:], " ") == ""
}
