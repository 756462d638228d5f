// Package sersync owns what a sersync 2.5.4 confxml.xml means: it reads one or
// several of them into a master's configuration and says, line by line, what
// changed in meaning on the way and why. The format and what the original made
// of it are those of its source, https://github.com/wsgzao/sersync.
//
// It must not know processes, the command line, or where state lies.
//
// # Lenient and safe
//
// Files in use were edited by hand for years, in editors of another encoding
// than the file declares, with notes between the elements and sections left out.
// All of that loads: an absent element has the value the shipped file gives it
// in effect, where the original crashed. What is not well-formed XML is an
// error with its line and nothing is taken from the file: half a file might be
// one without its filters.
//
// # Findings
//
// Whatever the imported configuration does otherwise than the original did is a
// Finding with the line that asked for it. A file that comes through without
// any replicates as before.
package sersync
