// Package rsyncdtest owns what tests of replication need around the code under
// test: real rsync daemons on free ports, random edits of a tree, comparison
// of trees, and a look at goroutines and processes left behind. It is imported
// by tests only.
//
// It must not know how the master pushes.
//
// Whatever is missing, rsync first of all, fails the test: a skipped test
// proves nothing and looks green. Only for want of rights is one skipped, and a
// machine that has them says so; see Lacks.
package rsyncdtest
