package watch

import "syncagent/agent/tree"

// Event says that a path may differ from what was last seen there. It is a
// hint to look, never an instruction: by the time it is read, the path may
// have changed again.
type Event struct {
	// Path is relative to the watched root.
	Path tree.Path
	// From is where a directory stood in the tree before it was moved to Path, if that
	// is known; else empty.
	From tree.Path
	// What may differ: Attrs, Content, or Deep when a whole subtree became
	// unknown, with Other when another directory stands at its top.
	What tree.What
	// Gone says that an entry of this name was seen leaving: deleted or moved
	// away. Another one may stand there since.
	Gone bool
	// Finished says that a file's writers are known to be done with it: it was
	// closed, it came by a rename or a link, or it rested for Config.GrowQuiet.
	// There is no need to wait for more before it is sent.
	Finished bool
	// Linked says that a file was seen there which has other names, too, and nothing else:
	// an event of the change itself comes after it.
	Linked bool
	// Cause says what made the watcher report the path.
	Cause Cause
	// Op holds what the kernel reported, several where it cannot be told apart or
	// came together; 0 when the watcher itself found the path in doubt.
	Op Op
	// Kind says what was seen there.
	Kind Kind
}

// Op is a set of the kernel's reports.
type Op uint8

// What the kernel reports.
const (
	OpCreate Op = 1 << iota
	OpCloseWrite
	OpModify
	OpAttrib
	OpMoveFrom
	OpMoveTo
	OpDelete
)

// Kind says what an event is about.
type Kind uint8

// A directory, anything else, or not known.
const (
	KindUnknown Kind = iota
	KindFile
	KindDir
)

// Cause says what made the watcher report a path.
type Cause uint8

const (
	// Changed: the kernel reported the entry itself.
	Changed Cause = iota
	// Appeared: a directory was created or moved here and is watched since.
	Appeared
	// Left: the entry was deleted or moved away.
	Left
	// Overflow: the kernel's queue was full and events are missing.
	Overflow
	// NoWatches: the subtree is not watched, since no inotify watch was left.
	NoWatches
	// Unreadable: the subtree is not watched, since it could not be opened, since
	// it stands in the tree twice (a bind mount), or since its file system reports
	// nothing.
	Unreadable
	// Lost: the watch of a directory had gone and was set up again.
	Lost
	// Mounted: a file system appeared or disappeared here.
	Mounted
	// Polled: nothing reports all changes, so the path is due by time.
	Polled
)

// String returns the cause in one lower-case word.
func (c Cause) String() string {
	names := [...]string{
		Changed: "changed", Appeared: "appeared", Left: "left", Overflow: "overflow",
		NoWatches: "no-watches", Unreadable: "unreadable", Lost: "lost", Mounted: "mounted", Polled: "polled",
	}
	if int(c) < len(names) {
		return names[c]
	}
	return "unknown"
}
