// Package config owns the two configuration files, the master's agent.yaml and
// the receiver's receiver.yaml: their keys, defaults, strict decoding, checks,
// canonical form and edits that keep what the user wrote.
//
// It must not know flags, the environment, rsync's command line or services.
// Whoever merges flags and environment calls Set with the names Keys lists.
//
// # One table
//
// Every key stands once, in a table of fields bound to a struct (schema.go).
// Decode, Encode, Keys, Set, module overrides and the suggestion for a misspelt
// key walk that table, so they cannot disagree. YAML, JSON and TOML all become
// yaml.Node trees first: the node knows its line, and no library lower-cases a
// module's name or splits a target called web1.example.com at its dots.
//
// # Two rounds of checks
//
// Decode checks what one value can tell by itself (type, unit, range, charset,
// filter rule) and reports all such faults together. Validate checks what
// takes several values or the machine. They are apart because flags and
// environment change values in between.
//
// # Overrides as text
//
// A module keeps its overrides as dotted key and text ("settle.quiet" = "5ms"),
// not as pointers: the globals may still change after decoding, and applying
// an override is then the same Set that a flag uses.
//
// # Edits on text
//
// Re-encoding a YAML tree drops blank lines, alignment and quoting. An edit
// therefore uses the tree only to find places and changes the text there, line
// by line; the result is decoded again and refused when it does not say what
// was asked.
package config
