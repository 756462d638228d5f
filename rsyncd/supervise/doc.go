// Package supervise owns the life of one child process that shall always run:
// it starts it, finds out when it is ready, starts it again when it ends, and
// ends it and all of its process group with its context.
//
// It must not know what the child does; whoever does gives it a command and a
// function that says whether it is ready.
//
// # Why states
//
// A child starts, becomes ready, dies, is stopped and is restarted by outside
// events that come in any order. Each event is one method that looks at the
// state it finds, and transition is the one place that changes it, so an event
// that comes late is ignored instead of racing:
//
//	          started          ready
//	stopped ---------> starting -----> running
//	   ^                 ^   |            |
//	   | ended           |   | ended      | ended
//	   |           due   |   v            |
//	stopping          backoff <----------+
//
// From every state an end of the context leads over stopping to stopped, and
// Restart over stopping to starting.
//
// # Why it is asked
//
// A child that is stopped or waits for a disk has not ended, and the kernel goes on
// taking connections for it. Only a question that it has to answer itself tells; one
// that leaves several unanswered fails as if it had ended.
//
// # Why the log file
//
// An rsync daemon that finds its port taken ends without a word on standard
// error; the reason stands in its log alone. What the child appended to it
// counts as its last words.
package supervise
