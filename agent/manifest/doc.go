// Package manifest owns the answer to "are these two trees the same?": it reads
// a tree into a sorted list of entries with everything that replication
// promises to keep, and names the differences of two lists.
//
// It must not know replication, rsync or configuration, so that it can judge
// them: demos, benches and tests compare a master with its slaves by it.
//
// # What is not compared
//
// The root itself, because its owner and mode belong to the slave; change and
// birth times, which no copy can keep; access times; and the sizes of
// directories, which depend on their history. Content is compared by SHA-256,
// so "same" means every byte.
package manifest
