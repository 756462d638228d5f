// Package journal owns what survives a restart: for each module and each module x
// target one record, replaced atomically on disk.
//
// It must not know what the records are for, nor clocks, rsync or the network. It
// never invents state: a record that cannot be read is reported and set aside, and
// a record that is not there is fs.ErrNotExist. What either means (a sweep, held deletes)
// is the caller's to decide.
//
// # Files
//
// All lie flat in the directory of the Store:
//
//	lock                    held by flock(2) for as long as the Store is open;
//	                        holds the holder's process id
//	MODULE.module           record of a module
//	MODULE@TARGET.target    record of a module x target
//	MODULE@TARGET.paused    the user wants nothing sent there; see SetPaused
//	*.corrupt               a record that could not be read; one generation is kept
//	*.tmp                   left by a crash, removed by the next Open
//
// In MODULE and TARGET every byte outside A-Z a-z 0-9 _ - and dot stands as %XX.
//
// # Format of a record, version 1
//
//	syncagent journal 1 target\n       kind: module or target
//	{"module":"www","target":"s1",...}\n
//	5blog/new.php\0                    pending marks, each: the bits of tree.What as one
//	...                                character from 0 to ?, the path's bytes, NUL
//	2old/\0                            held marks, likewise
//	sha256 6f2c...\n                   of all bytes above, in hexadecimal
//
// The JSON line says how many marks of either sort follow, and for whom the record
// is: a file that was copied or renamed to stand for another target is as foreign as one of
// another version. Strings in it that are not UTF-8 stand as {"b64":"..."}.
// The marks are kept out of the JSON because file names are bytes, and because
// there are up to MaxMarks of them in a record that is written after every batch.
//
// # How a record is replaced
//
// A temporary file beside it is written and synced, renamed over the old record, and the
// directory is synced. Whatever fails and wherever the machine stops, the old or
// the new record is there as a whole. A failed Save leaves the old one, except that
// after a failed sync of the directory nobody knows which of the two a crash would leave.
//
// The format checks more than its checksum, since a wrong record can make the agent
// trust a slave it must not trust. There is no migration: a record of another version
// is set aside and the target starts as one without a journal, which is always safe.
package journal
