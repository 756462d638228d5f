// Package proc starts child processes that end with us: each in a process
// group of its own, killed by the kernel when we die, and noted in a file so
// that what a killed process left behind can be ended by the next one.
//
// It must not know what the children do.
//
// # Why a thread of its own
//
// Pdeathsig fires when the thread that forked the child ends, not when the
// process does, and the Go runtime may end a thread at any time. All children
// are therefore started from one goroutine that is locked to its thread for as
// long as any child lives: Spawner.Run.
//
// That thread also has the children's priority, which they inherit: it is theirs from
// the first instruction on, without a shell or a moment in which they have ours.
//
// # Why a record beside it
//
// Pdeathsig reaches the child alone, not what the child forked: the sessions
// of an rsync daemon live on after the daemon was killed and may put old
// content over new. The record names every group by its leader's pid and start
// time, valid for one boot. A leader that is already gone cannot be compared,
// so every child carries a random token in its environment, which its
// descendants inherit; a process is ended only when its group's leader has the
// recorded start time or when it carries the recorded token itself.
package proc
