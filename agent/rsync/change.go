package rsync

import "strings"

// Empty reports whether the batch asks for nothing.
func (b Batch) Empty() bool {
	return len(b.Send)+len(b.Replace)+len(b.Attrs)+len(b.Gone)+len(b.Deep) == 0
}

// Temporary reports whether the name is one that a receiver gives a file until
// it is whole.
func (e Extra) Temporary() bool { return tempName.MatchString(e.Path.Base()) }

// Created reports whether the slave lacks the path.
func (c Change) Created() bool { return len(c.Code) > 2 && strings.Trim(c.Code[2:], "+") == "" }

// AttrsOnly reports whether the content is the same and only attributes differ.
func (c Change) AttrsOnly() bool { return strings.HasPrefix(c.Code, ".") }

// Describe says in words what differs. The letters are those of
// --itemize-changes, see rsync(1).
func (c Change) Describe() string {
	if c.Created() {
		return "missing on the slave"
	}
	if len(c.Code) < 3 {
		return "differs"
	}
	var words []string
	for _, letter := range c.Code[2:] {
		if w := attribute(letter); w != "" {
			words = append(words, w)
		}
	}
	if len(words) == 0 {
		return "content may differ"
	}
	return strings.Join(words, ", ") + " differ"
}

func attribute(letter rune) string {
	switch letter {
	case 'c':
		return "content"
	case 's':
		return "size"
	case 't', 'T':
		return "time"
	case 'p':
		return "mode"
	case 'o':
		return "owner"
	case 'g':
		return "group"
	case 'a':
		return "acl"
	case 'x':
		return "extended attributes"
	}
	return ""
}
