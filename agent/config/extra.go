package config

import (
	"errors"
	"strings"

	"syncagent/agent/filter"
)

// The reasons why an option cannot be given in rsync.extra.
const (
	whyDelete    = "what is deleted passes the delete guard"
	whyFilter    = "what is left out must be known to watches and deletes too, write it as a rule of filter"
	whyOwn       = "the agent sets it itself"
	whySkip      = "it leaves changed files behind and still reports success"
	whyLinks     = "symlinks are sent as they are, never followed"
	whyNames     = "names are bytes and arrive as they are"
	whySource    = "it changes the master"
	whyElsewhere = "it starts or reads something else"
)

// refusedExtra names the long options that would break what the agent
// promises, or that its own runs depend on. Everything else is passed on;
// rsync and the slave's refuse list judge it.
func refusedExtra(name string) string {
	switch name {
	case "delete", "del", "delete-before", "delete-during", "delete-delay", "delete-after", "delete-excluded",
		"delete-missing-args", "ignore-missing-args", "max-delete", "force", "ignore-errors", "prune-empty-dirs":
		return whyDelete
	case "exclude", "exclude-from", "include", "include-from", "filter", "cvs-exclude", "one-file-system":
		return whyFilter
	case "files-from", "from0", "relative", "no-relative", "no-implied-dirs", "recursive", "dirs", "password-file", "port",
		"sockopts", "timeout", "contimeout", "out-format", "log-format", "itemize-changes", "verbose", "quiet", "info",
		"debug", "progress", "stats", "list-only", "dry-run", "archive", "times", "no-times", "modify-window", "ignore-times",
		"no-motd", "8-bit-output", "protocol", "help", "version", "bwlimit", "mkpath", "temp-dir":
		return whyOwn
	case "update", "existing", "ignore-non-existing", "ignore-existing", "size-only", "append", "append-verify",
		"max-size", "min-size", "compare-dest", "stop-after", "stop-at", "time-limit":
		return whySkip
	case "iconv":
		return whyNames
	case "copy-links", "copy-unsafe-links", "copy-dirlinks", "keep-dirlinks", "safe-links", "no-links", "munge-links":
		return whyLinks
	case "remove-source-files", "remove-sent-files":
		return whySource
	case "rsh", "rsync-path", "remote-option", "daemon", "server", "sender", "config", "dparam", "write-batch",
		"only-write-batch", "read-batch", "early-input", "log-file":
		return whyElsewhere
	}
	return ""
}

// longName returns the long name of a short option that is refused or takes a
// value, "" for the others.
func longName(letter byte) string {
	switch letter {
	case 'f', 'F':
		return "filter"
	case 'n':
		return "dry-run"
	case 'u':
		return "update"
	case 'L':
		return "copy-links"
	case 'k':
		return "copy-dirlinks"
	case 'K':
		return "keep-dirlinks"
	case 'x':
		return "one-file-system"
	case 'C':
		return "cvs-exclude"
	case 'R':
		return "relative"
	case 'r':
		return "recursive"
	case 'd':
		return "dirs"
	case 'a':
		return "archive"
	case 't':
		return "times"
	case 'I':
		return "ignore-times"
	case 'v':
		return "verbose"
	case 'q':
		return "quiet"
	case 'i':
		return "itemize-changes"
	case 'P':
		return "progress"
	case '0':
		return "from0"
	case '8':
		return "8-bit-output"
	case 'm':
		return "prune-empty-dirs"
	case '@':
		return "modify-window"
	case 'h', 'V':
		return "help"
	case 'e':
		return "rsh"
	case 'M':
		return "remote-option"
	case 'T':
		return "temp-dir"
	}
	return ""
}

// extraOption takes one option of rsync, its value behind '='.
func extraOption(text string) (string, *problem) {
	if _, bad := anyText(text); bad != nil {
		return "", bad
	}
	if len(text) < 2 || text[0] != '-' || text == "--" {
		return "", &problem{quote(text) + " is no option of rsync", "write --name or --name=value as one entry"}
	}
	if long, ok := strings.CutPrefix(text, "--"); ok {
		name, _, _ := strings.Cut(long, "=")
		return refuse(text, name)
	}
	for i := 1; i < len(text); i++ {
		if _, bad := refuse("-"+text[i:i+1], longName(text[i])); bad != nil {
			return "", bad
		}
		if text[i] == 'B' {
			break // the rest is its value
		}
	}
	return text, nil
}

func refuse(option, name string) (string, *problem) {
	if why := refusedExtra(name); why != "" {
		return "", &problem{"option " + quote(option) + " is not taken", why}
	}
	return option, nil
}

// ruleProblem says what is wrong with one filter rule.
func ruleProblem(rule string, err error) *problem {
	var bad *filter.SyntaxError
	if errors.As(err, &bad) {
		return &problem{"filter rule " + quote(rule) + ": " + bad.Problem, bad.Hint}
	}
	return &problem{"filter rule " + quote(rule) + ": " + err.Error(), `write rules as rsync does, as in "- *.tmp"`}
}
