// Package secrets owns passwords: making them, reading them from where they
// may stand, checking who else can read them, and the two files rsync wants.
//
// It must not know modules, targets or configuration files.
//
// # Why a type
//
// A password that is a string ends in a log line sooner or later. A Secret
// prints as ******** under every verb, in JSON, YAML and slog; Reveal is the
// one way to its text, so every use can be found by searching for that name.
// The text is held behind a pointer because fmt calls no method on an
// unexported field: a struct that merely holds a Secret prints an address.
//
// # The two files
//
// The daemon's secrets file holds a line "user:password" a user; the first
// colon splits, '#' starts a comment, a line has at most 1023 bytes, and of two
// lines of one user only the first is ever tried. The client's password file
// holds the password alone; rsync reads 511 bytes of it and drops the rest
// without a word. Both are refused by rsync when others can read or write
// them, or when rsync runs as root and another user owns them. (rsync 3.5.0,
// authenticate.c; checked by experiment.)
package secrets
