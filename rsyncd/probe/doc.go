// Package probe asks the installed rsync itself: whether its daemon reads a
// configuration file without a complaint, and whom that configuration lets
// in. Both work on a socket pair, so no port is opened and a running daemon is
// not disturbed.
//
// It must not know where configurations are kept or what becomes of the
// answer.
//
// # Why two ways of starting
//
// There is no option to check a configuration. Started as from inetd (a socket
// on standard input) the daemon reads the whole file before it greets, and writes
// its complaints to the log; it does not know a peer's address there. Started
// as from a remote shell (--server --daemon) it takes the peer's address from
// REMOTE_HOST, so that the answer to any address can be had.
package probe
