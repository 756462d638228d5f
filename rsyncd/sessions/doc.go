// Package sessions owns what a running rsync daemon started for its clients: it
// ends the sessions that nobody is served by any more, and all of them on demand.
//
// It must not know configurations, modules or masters; it is given the daemon's
// process id, which is its process group's too.
//
// # Why sessions have to be ended
//
// rsync's daemon forks a process a connection, and that one another that receives.
// When the client is killed, both end as soon as they look at the connection. One
// that does not look, because it is stopped or waits for a disk, lives on; it may
// hold a complete old file that it has only to rename. When it wakes, the old
// content replaces what a later session wrote and confirmed. A client whose host or
// line went away leaves processes that wait for minutes, each in a place of "max
// connections".
//
// # How a dead one is known
//
// By its socket, as the kernel's tables show it (proc_pid_net(5)): closed by the
// other side (CLOSE_WAIT, CLOSING, LAST_ACK), reset (in no table any more), or with
// so many retransmissions unanswered that the peer has been silent for ten seconds
// and more. A session that ends by itself looks the same for a moment, so a process
// is killed when two looks in a row say so.
//
// # When it is looked
//
// While there is a session, regularly. While there is none, the kernel tells of the next
// one: a daemon reads its configuration anew for each connection, before it takes
// anything from it (rsyncd.conf(5)), and that it opens the file is an event of
// inotify(7). Where that cannot be had it is looked for sessions all the time.
//
// rsync's "socket options" cannot set TCP_USER_TIMEOUT, and the daemon's "timeout"
// is not kept by a process that hangs.
package sessions
