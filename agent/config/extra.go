package config

import (
	"errors"
	"slices"
	"strings"

	"syncagent/agent/filter"
)

// The reasons why an option cannot be given in rsync.extra.
const (
	whyDelete = "what is deleted passes the delete guard"
	whyFilter = "what is left out must be known to watches and deletes too, write it as a rule of filter"
	whySkip   = "it leaves changed files behind and still reports success"
	whyLinks  = "symlinks are sent as they are, never followed"
	whySource = "it changes the master"
)

// refusedExtra says why an option that users may well think of would break what
// the agent promises, or what its own runs depend on.
func refusedExtra(name string) string {
	switch name {
	case "delete", "del", "delete-before", "delete-during", "delete-delay", "delete-after", "delete-excluded",
		"delete-missing-args", "ignore-missing-args", "max-delete", "force", "ignore-errors", "prune-empty-dirs":
		return whyDelete
	case "exclude", "exclude-from", "include", "include-from", "filter", "cvs-exclude", "one-file-system":
		return whyFilter
	case "update", "existing", "ignore-non-existing", "ignore-existing", "size-only", "append", "append-verify",
		"max-size", "min-size", "compare-dest", "stop-after", "stop-at", "time-limit":
		return whySkip
	case "copy-links", "copy-unsafe-links", "copy-dirlinks", "keep-dirlinks", "safe-links", "no-links", "munge-links":
		return whyLinks
	case "remove-source-files", "remove-sent-files":
		return whySource
	}
	return ""
}

// allowedExtra are the options that change how a file is sent or stored, never
// which files are sent or deleted nor what rsync prints. The slaves' closed list
// of options lets those through that concern them.
func allowedExtra() []string {
	return []string{
		"address", "backup", "backup-dir", "block-size", "checksum-choice", "chmod", "compress-level", "compress-threads",
		"executability", "fsync", "ipv4", "ipv6", "no-devices", "no-group", "no-owner", "no-perms", "no-specials",
		"partial-dir", "preallocate", "skip-compress", "sparse", "suffix", "whole-file",
	}
}

// extraOption takes one option of rsync, its value behind '='.
func extraOption(text string) (string, *problem) {
	if _, bad := anyText(text); bad != nil {
		return "", bad
	}
	long, ok := strings.CutPrefix(text, "--")
	if !ok || long == "" {
		return "", &problem{quote(text) + " is no long option of rsync", "write --name or --name=value as one entry"}
	}
	name, _, _ := strings.Cut(long, "=")
	if why := refusedExtra(name); why != "" {
		return "", &problem{"option " + quote(text) + " is not taken", why}
	}
	if !slices.Contains(allowedExtra(), name) {
		return "", &problem{"option " + quote(text) + " is not taken", "these are: " + strings.Join(allowedExtra(), ", ")}
	}
	return text, nil
}

// ExtraOption says why rsync.extra does not take an option, nil if it does.
func ExtraOption(text string) error {
	if _, bad := extraOption(text); bad != nil {
		return &Fault{Problem: bad.text, Hint: bad.hint}
	}
	return nil
}

// FilterRule says why filter does not take a rule, nil if it does.
func FilterRule(text string) error {
	if _, bad := filterRule(text); bad != nil {
		return &Fault{Problem: bad.text, Hint: bad.hint}
	}
	return nil
}

// ruleProblem says what is wrong with one filter rule or expression.
func ruleProblem(what, rule string, err error) *problem {
	var bad *filter.SyntaxError
	if errors.As(err, &bad) {
		return &problem{what + " " + quote(rule) + ": " + bad.Problem, bad.Hint}
	}
	return &problem{what + " " + quote(rule) + ": " + err.Error(), `write rules as rsync does, as in "- *.tmp"`}
}
