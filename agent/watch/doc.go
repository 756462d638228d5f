// Package watch owns the translation of the kernel's notifications about one
// tree into events that say "this path may differ".
//
// It must not know filters as a language, targets, rsync or the dirty set: it
// is given a function that names excluded directories and one that takes
// events. It never looks at what a file holds.
//
// # State, not history
//
// Whatever happens to directories (created, moved, replaced, swapped), the
// answer is the same job: look at the path again and make the watches equal to
// what stands there now, then report the path with its whole subtree. A job is
// queued after its event was received, and looks after it was queued, so the
// last look sees the last state; no sequence of events needs a case of its own.
//
// # Two goroutines
//
// The receiver takes events from fsnotify and never does anything else that
// could take long, least of all calls into fsnotify: fsnotify reports some
// errors while it holds the lock that Add, Remove and Close need, so a receiver
// that called those could wait for itself for ever. The worker alone adds and
// removes watches.
//
// # What is known of fsnotify (v1.10.1)
//
//   - It keeps watches by path and knows nothing of directories that moved: when
//     a watched directory moves, fsnotify drops that one watch at a later time,
//     and those below go on reporting the old names. It always reports a Rename
//     of the path whose watch it dropped, which is what makes healing possible.
//   - Add of a directory that is still watched under another path succeeds and
//     changes nothing. Hence the table of inodes: the old path is removed first.
//   - Add of a path that fsnotify already holds can leave an entry behind that
//     makes a later Remove panic. Hence Remove always comes before Add, which
//     also gives the directory a new watch descriptor, so that what is still
//     queued for the old one cannot hurt the new one.
//   - Add follows symlinks. Hence the directory is opened first without following
//     any and compared after.
//
// # Limits
//
// Writes through a memory map, by another host to a network file system, or
// through a name outside the root are not reported by the kernel. A directory
// that stands in the tree twice (a bind mount) can be watched under one name
// only; the other is reported as a whole from time to time, like every
// subtree that cannot be watched. A removed root is reported by the kernel only
// once nobody holds it open, so the root is also looked at from time to time.
package watch
