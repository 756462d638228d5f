package filter

import "slices"

// EditorTemporaries is the name of the rules for what editors write beside the
// file that is edited: a name that begins with a dot, one that ends in a tilde,
// and 4913, with which vim tries whether it may write. Directories are never
// left out by them.
const EditorTemporaries = "editor_temporaries"

// SetNames are the names that Set knows.
func SetNames() []string { return []string{EditorTemporaries} }

// Set returns the rules of a named set, nil for a name that is not known. They
// stand behind a user's own, which may include what the set leaves out. Since
// what no rule matches is included, their first one decides nothing but that
// the others see no directory.
func Set(name string) []string {
	if !slices.Contains(SetNames(), name) {
		return nil
	}
	return []string{"+ */", "- .*", "- *~", "- 4913"}
}
