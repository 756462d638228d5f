// Package filter owns the rules that say which entries of a tree are
// replicated: rsync's filter language, compiled once and asked by watches,
// events, sweeps and deletes, and handed to rsync itself as arguments.
//
// It must not know files, processes or targets; whether a path is a directory
// is the caller's to say. A symlink to a directory is none.
//
// # Why not leave the rules to rsync
//
// rsync deletes a listed path that is missing on the master whatever the rules
// say, and a watch on an excluded cache costs kernel memory and wakes us for
// nothing. So the same decision is needed before rsync runs, and it must be the
// same decision: a rule we read more narrowly than rsync deletes what the user
// protected, one we read more widely is never replicated. The tests therefore
// compare this package with what a real rsync lists.
//
// # Regular expressions
//
// Sersync's filters are regular expressions, which rsync has none of. They stand
// beside the rules (WithRegexps), and this package decides about them alone: a
// directory one of them matches takes everything below it along, which the
// original forgot. Since nothing that rsync finds by itself may be trusted then,
// the agent names to it every path it shall send.
//
// # What is understood
//
// Rules "- PATTERN" and "+ PATTERN" (also "exclude PATTERN" and "include
// PATTERN"; an underscore may stand for the space), with the patterns of
// rsync's manual page, section PATTERN MATCHING RULES. Names and patterns are
// bytes, and character classes are those of the C locale, so rsync must run
// with LC_ALL=C.
//
// Rules for one side only, merge files and modifiers are refused: they would
// make what is sent differ from what may be deleted. So is a pattern that rsync
// accepts but that no path can ever match, because its author believes that
// something is protected.
package filter
