// Package provision brings a host to a desired state of files, directories and
// services, and says what it changed: Desired -> plan -> apply -> Report.
//
// It knows nothing of rsync, masters or slaves and imports nothing of ours:
// the caller builds the Desired and chooses what a Report means for its exit
// code. It owns the lock of a state directory (init.lock), the record of what
// was written last (init.json) and every temporary file it makes.
//
// # Why one plan for both modes
//
// A check run and a real run make the same plan with the same code; a check
// run stops there and holds a System that cannot write. So what a check
// predicts is what a run does, by construction. Missing parents, the state
// directory included, are ordinary entries of the plan.
//
// # Why three states of a file
//
// What is wanted, what is there, and what was last written: the third tells
// "our own older version" from "edited by hand". Hashes of derived files are
// recorded before they are written, so a run killed in between is not taken
// for a hand's work. A derived file never written by us is treated like one
// edited by hand, because it may be the user's. One such file stops the run
// before anything is written: half a new configuration is worse than the old.
// What a link or a missing file held cannot be lost, so these are repaired.
//
// # Why pending effects are recorded
//
// A run killed after a file was replaced and before its service was restarted
// would find nothing to do the next time. The record names the services that
// are still owed a restart or a reload until they had it.
//
// # Why services are told without the lock
//
// A service may converge its own files when it starts, and its start is waited
// for. So files are written and recorded under the lock, services are told
// without it, and that they were told is recorded under it again.
//
// # Why our own writer
//
// A replacement is: create exclusively with mode 0600 in the same directory,
// owner, mode, content, fsync, rename, fsync of the directory. Each step is a
// call of the System, so a test can fail or end the run at each of them;
// renameio has these steps inside. The lock admits one run at a time, so the
// temporary name needs no random part and a leftover is known by its suffix.
// New directories are made the same way, because an owner that applies only at
// creation would be lost between mkdir and chown.
//
// # Locking before the state directory exists
//
// An invalid input must leave no trace, so the lock file is not created before
// the plan stands. Without one, the state directory is made first, then the
// lock is taken and the rest is planned again under it.
package provision
