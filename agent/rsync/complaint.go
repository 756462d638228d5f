package rsync

import (
	"regexp"
	"strings"

	"syncagent/agent/tree"
)

// PathError is one line of rsync that complains about one path.
type PathError struct {
	Path  tree.Path
	What  tree.What
	Class Class
	Text  string
	// Soft complaints do not tell whether the path is wrong in the end; only
	// a look at the slave does.
	Soft bool
}

// lineKind sorts rsync's other output.
type lineKind uint8

const (
	lineNoise lineKind = iota // says nothing that the exit code does not
	linePath                  // complains about a path
	lineNoExtras
	lineLimit // --max-delete was reached
	lineOdd   // anything else
)

var noise = []string{"rsync error: ", "rsync warning: ", "*** Skipping any contents", "created directory ", "created "}

// complaintForms are tried in order; the first group is the path. The dots are
// greedy because names are printed without escaping quotes. The prefix spares
// other lines the expression.
var complaintForms = []struct {
	prefix string
	re     *regexp.Regexp
	what   tree.What
	class  Class
	soft   bool
}{
	{"file has vanished", regexp.MustCompile(`^file has vanished: "(.*)"(?: \(in .*\))?$`), tree.Content, Transient, true},
	{"directory has vanished", regexp.MustCompile(`^directory has vanished: "(.*)"(?: \(in .*\))?$`), tree.Content, Transient, true},
	{"WARNING: ", regexp.MustCompile(`^WARNING: (.*) failed verification -- update .* \(will try again\)\.?$`), tree.Content, Transient, true},
	{"ERROR: ", regexp.MustCompile(`^ERROR: (.*) failed verification -- update .*$`), tree.Content, Transient, false},
	{"WARNING: parent", regexp.MustCompile(`^WARNING: parent dir is absent in the file list: (.*)$`), tree.Content, Transient, true},
	{"cannot delete", regexp.MustCompile(`^cannot delete non-empty directory: (.*)$`), tree.Content | tree.Deep, Partial, true},
	{"could not make way", regexp.MustCompile(`^could not make way for new [a-z -]+: (.*)$`), tree.Content | tree.Deep, Partial, true},
	{"ERROR: daemon", regexp.MustCompile(`^ERROR: daemon refused to receive [a-z]+ "(.*)"$`), tree.Content, Partial, false},
	{"skipping ", regexp.MustCompile(`^skipping [a-z-]+ (?:file|directory) "?(.*?)"?$`), tree.Content, Partial, false},
	{"filename overflows", regexp.MustCompile(`^filename overflows max-path len by \d+: (.*)$`), tree.Content, Usage, false},
}

// callForm is how rsync reports a failed system call: who, what it did, the
// path, and the error. A rename names the temporary file first.
var callForm = regexp.MustCompile(
	`^rsync: \[([A-Za-z]+)\] (.*?) ?"(?:.*" (?:\(in \S+\) )?-> ")?(.*)"( \(in \S+\))?(?: failed)?: (.*) \((\d+)\)$`)

// deleteForm is the one that puts the path between parentheses.
var deleteForm = regexp.MustCompile(`^rsync: \[([A-Za-z]+)\] delete_file: [a-z]+\((.*)\) failed: (.*) \((\d+)\)$`)

// tempName is how a receiver calls a file until it is whole.
var tempName = regexp.MustCompile(`(?s)^\.(.+)\.[A-Za-z0-9]{6}$`)

// attrCalls start the complaints after which the content did arrive.
var attrCalls = []string{"failed to set", "chown", "chgrp", "set_acl", "rsync_xal_set", "failed to modify"}

// parseComplaint reads one line that is not an item.
func parseComplaint(line string, d Dest) (PathError, lineKind) {
	line = strings.TrimSuffix(line, "\r")
	if strings.TrimSpace(line) == "" {
		return PathError{}, lineNoise
	}
	for _, f := range complaintForms {
		if !strings.HasPrefix(line, f.prefix) {
			continue
		}
		if m := f.re.FindStringSubmatch(line); m != nil {
			return named(PathError{What: f.what, Class: f.class, Soft: f.soft, Text: line}, m[1], d)
		}
	}
	if strings.HasPrefix(line, "rsync: [") {
		return parseCall(line, d)
	}
	if strings.HasSuffix(line, "skipping file deletion") {
		return PathError{}, lineNoExtras
	}
	if strings.HasPrefix(line, "Deletions stopped") {
		return PathError{}, lineLimit
	}
	for _, prefix := range noise {
		if strings.HasPrefix(line, prefix) {
			return PathError{}, lineNoise
		}
	}
	return PathError{}, lineOdd
}

// parseCall reads the report of a failed system call.
func parseCall(line string, d Dest) (PathError, lineKind) {
	if m := deleteForm.FindStringSubmatch(line); m != nil {
		return named(PathError{What: tree.Content, Class: errnoClass(m[1], m[4]), Text: line}, m[2], d)
	}
	if m := callForm.FindStringSubmatch(line); m != nil {
		return named(PathError{What: callWhat(m[2]), Class: errnoClass(m[1], m[6]), Text: line}, m[3], d)
	}
	return PathError{}, lineOdd
}

// named fills in the path; one that is not below the destination is no use.
func named(e PathError, name string, d Dest) (PathError, lineKind) {
	p, ok := complaintPath(name, d)
	if !ok {
		return PathError{}, lineOdd
	}
	e.Path, e.Text = p, printable(strings.TrimPrefix(e.Text, "rsync: "), 512)
	return e, linePath
}

// complaintPath cuts what may stand before a path: our source directory, or
// the module and the directory in it, which rsync writes with a leading slash.
func complaintPath(name string, d Dest) (tree.Path, bool) {
	if rest, ok := strings.CutPrefix(name, strings.TrimSuffix(sourceArg, "/")); ok {
		name = rest
	} else if strings.HasPrefix(name, "/") && d.dir() != "" {
		var ok bool
		if name, ok = strings.CutPrefix(name, "/"+d.dir()); !ok {
			return tree.Root, false
		}
	}
	p, _, ok := parseName(strings.TrimPrefix(name, "/"))
	if !ok {
		return p, name == "" || name == "/"
	}
	if m := tempName.FindStringSubmatch(p.Base()); m != nil {
		return p.Parent().Join(m[1]), true
	}
	return p, true
}

func callWhat(call string) tree.What {
	for _, prefix := range attrCalls {
		if strings.HasPrefix(call, prefix) {
			return tree.Attrs
		}
	}
	return tree.Content
}

// errnoClass judges Linux error numbers, as rsync prints them for its own side.
func errnoClass(who, errno string) Class {
	switch errno {
	case "28", "122": // ENOSPC, EDQUOT
		if who != "sender" {
			return DiskFull
		}
	case "30": // EROFS
		return ReadOnly
	case "2": // ENOENT: it went away
		return Transient
	}
	return Partial
}
