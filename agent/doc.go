// Package agent owns the composition and the loops: one Source a module, one
// Replica a module and target, the desired state of both roles, and the slave's
// receiver.
//
// It must not know flags, terminals or exit codes (cmd/agent), and it leaves
// kernel events, rsync's words, file formats and service managers to the
// packages below it.
//
// # One way through
//
//	watch -> filter -> dirty set -> batch -> rsync -> outcome -> journal
//
// Start, schedule, retry and overflow are no paths of their own: each of them
// only marks, and a mark means "this path may differ". A sweep is a comparison
// that marks; it writes nothing itself, so it can run beside live changes and
// can neither resurrect nor delete anything.
//
// # One way to delete
//
// A path leaves a slave only when a listed path was looked up, found missing
// from a root that is provably the one it was, is not excluded, and passed the
// brake. Sweeps find what is extra on the slave, but they only mark it: it is
// looked up again like everything else.
//
// # Two lanes
//
// What takes long, a large file or tree, goes in a run of its own beside the live
// one, so that nothing small waits for it. It is a second flight of the same marks
// along the same way: looked up in the live lane, claimed under one lock so that the
// two never overlap, and handed back for whatever is not a plain copy. See lane.
//
// # Who waits for whom
//
// Marking never blocks and never fails. A replica owns its target: a slow or
// dead one delays nobody else. Sweeps share a number of places, and with long runs
// the slots that waiting connections give up for them; one slot is never a sweep's.
// See places.
package agent
