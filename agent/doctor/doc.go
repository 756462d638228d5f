// Package doctor looks at a host in the role of master, slave or both and says
// what is well, what is doubtful and what is broken, each with a remedy.
//
// It owns the questions and the judgement of their answers. It must not know
// flags, how findings are printed, or the running agent, and it changes
// nothing: here it leaves no file behind, and what it asks of a slave is a dry
// run that names one path which exists on neither side.
//
// # A finding for every question
//
// What is well is reported too, because a missing line would read as a passed
// check. A question that could not be put is never "ok".
//
// # Which level
//
// Fail is for what keeps replication from working or from being safe, warn for
// what works but may hurt later, or cannot be told from here.
//
// # Telling a wrong module from a denied host
//
// A daemon with "list = no" gives one answer to both. All modules of a slave
// are therefore asked before any is judged: when the slave let us into one of
// them, or asked for a password, the host is welcome and another module's
// refusal is about its name. When it refused all, both are possible and the
// finding says so, with the address that the slave saw.
//
// # Asking for --delete-missing-args
//
// Versions do not tell: rsync 3.4.3 lost the option on the receiving side
// (RsyncProject/rsync#910), distributions mend under old numbers, and a
// daemon may refuse it. A dry run that lists one missing path does tell: 3.4.3
// ends with "invalid file mode 00", and a 3.5.0 that refuses the option with
// exit code 0 and "skipping non-regular file".
//
// # Questions that never return
//
// A dead network mount holds up whoever looks at it, and nothing can call that
// system call back. Such questions are asked in a goroutine of their own, which
// is left behind when patience ends: the one exception to the rule that nothing
// outlives a call, and the reason why a doctor answers at all on such a host.
package doctor
