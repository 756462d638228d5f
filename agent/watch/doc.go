// Package watch owns the translation of the kernel's notifications about one
// tree into events that say "this path may differ".
//
// It must not know filters as a language, targets, rsync or the dirty set: it
// is given a function that names excluded directories and one that takes
// events. It never looks at what a file holds.
//
// # State, not history
//
// An event says where to look, never what to do, so it does not matter in which
// order changes are told, how often, or whether one is told that did not happen.
// What must never happen is a change that no event covers.
//
// # Fanotify
//
// The kernel reports each file system of the tree as a whole, so there is nothing
// to set up for a directory: a start takes as long with a million directories as
// with one, and no memory but a bounded cache. Events name a directory by a
// handle, which is opened to learn its present path.
//
//   - Paths may be old. A cached path is wrong once the directory or one above it
//     was moved; then the event of that move stands behind in the queue, marks
//     both places as a whole, and empties the cache. So every event is reported
//     under a path that was right when it happened or later, or under one that a
//     later mark covers.
//   - A handle that leads nowhere is that of a directory that is gone. Its removal
//     has an event of its own, in the directory above or in one above that, which
//     says all.
//   - The path is what /proc/self/fd shows, so it is a path in our own namespace,
//     as seen through the mount that the handle was opened by. Each mount at and
//     below the root is tried: a directory that stands in the tree twice is
//     reported under both names. What is outside of the tree is known to be so,
//     and dropped for a tenth of a microsecond.
//   - Nothing is held open while no events are being translated, or nobody could
//     unmount what is watched.
//   - A new directory is reported with its subtree, though no event below it can be
//     missed: one deep mark swallows those of thousands of files, and all of them
//     can be sent at once. A file below it that is still being written is named
//     by Growing, and reported again when it is closed.
//   - The queue is bounded. When it was full, the whole file system is reported.
//
// # Files that are being written
//
// Half a file must not be sent. Fanotify says when a file was closed: until then
// its report is held back, but for no longer than Config.Growing. What changes
// without being closed, such as by truncate(2), is found by asking the process
// that did it whether it has the file still open. With fsnotify nothing tells of
// closing, and a file counts as written when its size stays the same for a while
// that grows with the size, Config.GrowQuiet for all that is small. In both cases
// the event then says Finished.
//
// # Fsnotify
//
// Whatever happens to directories (created, moved, replaced, swapped), the
// answer is the same job: look at the path again and make the watches equal to
// what stands there now, then report the path with its whole subtree. A job is
// queued after its event was received, and looks after it was queued, so the
// last look sees the last state; no sequence of events needs a case of its own.
//
// The receiver takes events from fsnotify and never does anything else that
// could take long, least of all calls into fsnotify: fsnotify reports some
// errors while it holds the lock that Add, Remove and Close need, so a receiver
// that called those could wait for itself for ever. The worker alone adds and
// removes watches.
//
// What is known of fsnotify (v1.10.1):
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
// Writes through a memory map are reported by fanotify when the file is unmapped
// and closed, by fsnotify never. A write to a file with several names is reported
// under the one that was used, which may lie outside of the root. What another
// host writes to a network file system is never reported, so those are also
// reported as a whole from time to time, beside whatever backend; and what the
// kernel's own NFS server writes may escape both when it has forgotten the file's
// directory.
//
// With fsnotify, a directory that stands in the tree twice (a bind mount) can be
// watched under one name only; the other is reported as a whole from time to time,
// like every subtree that cannot be watched. A removed root is reported to it only
// once nobody holds it open, so the root is also looked at from time to time.
//
// With fanotify, every write to a watched file system costs its writer some tenths
// of a microsecond, and us a little, wherever in that file system it happens.
package watch
