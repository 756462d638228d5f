// Package tree owns the vocabulary of one replicated tree: paths relative to
// its root, marks ("this path may differ") and the dirty set that coalesces
// them.
//
// It must not know clocks, goroutines, files, rsync or targets: everything
// here is a pure value, so the properties that keep data safe can be tested
// against a naive model.
//
// # Why state, not events
//
// An event is never stored or replayed. It only marks its path; what is to be
// done is decided when the path is looked at. Order therefore does not matter,
// a late retry can never undo a newer change, and memory is bounded by the
// number of distinct paths instead of the number of events.
//
// # Why a trie that rolls up
//
// A deep mark has to swallow what lies below it and an overlap has to be found
// at the cost of one path, not of the set: both are a walk from the root. A
// million changed paths may wait for a target that is down for a night, so past
// a cap the most crowded directories become one deep mark each. That costs a
// needless look at their other entries later and never loses a change; the
// worst case is one deep mark of the root, which is a sweep.
package tree
