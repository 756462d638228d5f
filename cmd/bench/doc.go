// Command bench measures how fast agent replicates, beside what people use
// instead and beside rsync run by hand, in one run on one machine: a source
// and three slaves on loopback addresses, everything in memory. It owns the
// workloads, the other programs' configuration and the report.
//
// It must not know how agent works: agent is set up by its own commands and
// judged by what arrives in the slaves' directories. The status it is asked
// for says only whether it has come to rest.
//
// # What is compared
//
//   - floor: rsync -a by hand to the three daemons at once, with TCP_NODELAY on
//     both ends. Nobody has to notice the change, so nothing can be faster
//     that uses rsync and connects for each change.
//   - floor, open: the same with connections that wait for their list; only for
//     the latency of one file.
//   - ours: agent init, agent receiver and agent run.
//   - lsyncd with delay 0, as its manual configures it.
//   - inotifywait + rsync: the loop everybody writes, at its best: it drains all
//     waiting events, then runs rsync -a --delete of the whole tree to the three
//     slaves at once.
//
// The others' daemons are plain ones, as their manuals write them; -tuned gives
// them TCP_NODELAY on both ends too.
//
// # What counts as equal
//
// Names, types, modes, owners, sizes, link targets and every byte of content.
// Times do not count, since rsync itself compares whole seconds unless told
// otherwise; a file whose time differs has its content read.
//
// # How the end is noticed
//
// Each slave is walked with a cursor that stands at the first entry that is
// not there yet, so that watching costs next to nothing. When all cursors are
// at the end, all trees are read in full and compared byte for byte; only if
// that finds them equal does the moment at which the last cursor ended count.
package main
