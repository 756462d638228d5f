// Package badline owns a line to an rsync daemon that can be bad in the ways
// lines and daemons are: slow, flapping, silent, refusing. It stands between a
// master and a slave in tests and in the benchmark, and needs no rights.
//
// It must not know how anybody replicates; all it knows of rsync is the greeting
// and how a daemon says that it is full.
//
// What happens to packets, their loss and their delay, is not to be had here: the
// kernel acknowledges what this process has not passed on. The fault suite has
// wires for that.
package badline
