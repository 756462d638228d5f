// Package hook runs what a user wants done after a push: a command, a message to
// a socket, an HTTP request, a purge of a CDN's cache.
//
// It owns each hook's queue, worker, time-out, tries and count. It must not know
// replicas, targets' states or configuration files: whoever knows that something
// was pushed offers an Event, and never waits.
//
// # Why a queue and a worker each
//
// A hook may take minutes or hang, and neither replication nor another hook may
// notice. Offer only puts into a bounded queue; what does not fit is dropped,
// counted and logged, since a hook that is that far behind would otherwise take
// the memory of the machine. The bound counts paths, not events, because an
// event can hold thousands.
//
// # At least once
//
// A run that failed is tried again with the same Event and the same delivery id, so that
// a receiver can tell a second delivery from a second push. Events that wait when
// the agent is killed are lost; at a regular stop there is Drain of time for
// them.
//
// # Names are data
//
// Any byte but NUL and slash can stand in a file name. A command gets names as
// whole arguments or NUL-separated on standard input, never through a shell; a
// form and a URL are encoded; JSON has "path_b64" for a name that is no UTF-8.
// The one format without any of that is the bare path on a socket, which is as
// its receivers expect it.
package hook
