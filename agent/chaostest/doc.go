// Package chaostest owns the fault suite: the real program as master and
// slaves on hosts of their own, a fault, its cure, and the question whether
// every slave's tree is the master's again and whether all that was said
// meanwhile was true. There is nothing in it but tests.
//
// It must not know how replication works. It sees what a user sees: two trees,
// the answers of "agent status", processes and their exit codes.
//
// # Hosts
//
// The test binary starts itself again in a mount and a network namespace of its
// own. Each host is a network namespace behind one bridge there, so that links
// can be cut and file systems mounted without anybody else noticing, and
// nothing outlives the run. Files are shared by all hosts, which is how trees
// are compared.
//
// # What every case is held to
//
// After the cure each slave becomes equal within the case's bound, byte for
// byte. Until then a sampler freezes the edits now and then and asks the agent:
// whoever says that a target is in sync as of a moment after the last edit is
// taken at its word, and the trees are compared. In the end the agent stops
// within ten seconds with exit code 0, no process is left, and it has as many
// goroutines as one that was just started.
//
// A case is a value of faultCase; seeds repeat a run as far as the kernel's
// scheduling lets them.
package chaostest
