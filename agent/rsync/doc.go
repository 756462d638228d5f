// Package rsync makes named paths of one slave equal to the master's by
// running rsync, and says for each path whether it arrived.
//
// It owns the argument list, the list on standard input, the process, the
// outcome of every path and the class of every failure. It must not know which
// paths are marked, why, or when to try again, and it decides no delete: what
// Batch.Gone names has passed the caller's gate.
package rsync
