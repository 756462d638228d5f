package tree

import "strings"

// What says in which way a marked path may differ. The bits add up: joining
// two marks of one path is a union.
type What uint8

const (
	// Attrs: mode, owner, times or extended attributes may differ.
	Attrs What = 1 << iota
	// Content: the bytes, the link target or the type may differ, or the path
	// may be gone. A Set adds Attrs to it.
	Content
	// Deep: anything in the whole subtree may differ. A Set adds the other two
	// to it.
	Deep
	// Other: the directory may be another one than before, so that a file below it may
	// differ though its size and time are as they were. A Set adds the other three to
	// it.
	Other
)

// All is every bit.
const All = Attrs | Content | Deep | Other

// String returns the set bits' names joined by "+".
func (w What) String() string {
	var names []string
	for i, name := range [...]string{"attrs", "content", "deep", "other"} {
		if w&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}

// implied returns w with everything that follows from it, and nothing that has
// no meaning.
func (w What) implied() What {
	switch {
	case w&Other != 0:
		return All
	case w&Deep != 0:
		return Deep | Content | Attrs
	case w&Content != 0:
		return Content | Attrs
	}
	return w & Attrs
}

// Mark says that a path may differ.
type Mark struct {
	Path Path
	What What
}

// Batch is what was marked, at most once a path, in the order of Compare, with
// nothing below a deep mark.
type Batch []Mark
