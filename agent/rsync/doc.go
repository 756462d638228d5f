// Package rsync makes named paths of one slave equal to the master's by
// running rsync, and says for each path whether it arrived.
//
// It owns the argument list, the list on standard input, the process, the
// outcome of every path and the class of every failure. It must not know which
// paths are marked, why, or when to try again, and it decides no delete: what
// Batch.Gone names has passed the caller's gate.
//
// # What may be deleted, and by which run
//
// Only a run that has something in Gone carries --delete-missing-args; in such
// a run a path of Send that vanishes between our look at it and rsync's goes
// too. Only dry runs carry --delete. Runs that recurse carry neither, nor
// --force, so that a sweep can lose nothing on the slave but an empty directory
// in the way of a file. Listed runs carry no filter: rsync would pass over an
// excluded path in silence, and does not spare it when it is missing.
//
// # Why -I, and why -ii
//
// Without -I a file rewritten with equal size and time is never sent. With -ii
// rsync prints a line for every entry it looked at; a listed path without one
// was passed over, whatever the exit code, and is not confirmed. It also counts
// the entries of a sweep without --stats, which closed slaves refuse.
//
// # What the slave must let through
//
// These options reach the daemon, so that the smallest list that works is
//
//	refuse options = * !a !R !I !c !delete !delete-during !delete-missing-args !force !timeout !modify-window !max-delete
//
// and, where configured, !compress* !bwlimit !xattrs !acls !hard-links
// !numeric-ids. A daemon that refuses --delete-missing-args says so only once a
// listed path really is missing.
//
// # Parents
//
// Directories above a listed path come along as implied directories: their
// mode, owner and times follow the source, also after the last thing in them
// was deleted. They need no mark of their own; the slave's root is never
// touched.
package rsync
