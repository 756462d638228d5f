// Package rsyncd owns the model of an rsync daemon's configuration file
// (rsyncd.conf(5), read against rsync 3.5.0's params.c and loadparm.c): what
// stands in it, how it is written, read back and judged, and the one safe
// configuration our receiver serves.
//
// It must not know processes, files, users, clocks or where the configuration
// is kept: everything here is a pure value. Asking a real daemon for its
// opinion is package rsyncd/probe.
//
// # Why a typed model
//
// The daemon ignores a parameter it does not know and a boolean it cannot
// read, and goes on with its default: "host allow = 10.0.0.1" serves everyone.
// A file is therefore never assembled from text. Every parameter that decides
// who may do what is a field with a type, Render writes each of them even where
// it equals the daemon's default, and Parse refuses what the daemon would
// quietly drop.
//
// # Why defaults are folded into the modules
//
// A module parameter above the first module is a default for the modules that
// follow. Parse copies such defaults into each module, because only then does a
// Module say all that holds for it; Render never writes them, so the meaning
// survives the round trip while the layout may not.
package rsyncd
