package provision

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"syscall"
)

func invalid(path, message, hint string) error {
	return &Problem{Code: CodeInvalid, Path: path, Message: message, Hint: hint}
}

// toProblem classifies an error. A path inside of it, which is one of this
// host even when staging, stays in the message.
func toProblem(err error, path string) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	p = &Problem{Path: path, Message: oneLine(err)}
	p.Code, p.Hint = classify(err)
	var service *serviceError
	if errors.As(err, &service) && p.Code != CodeInterrupted {
		p.Code, p.Path = CodeService, service.name
		p.Hint = "see: systemctl status " + service.name + "; journalctl -u " + service.name
	}
	var op *fs.PathError
	if p.Path == "" && errors.As(err, &op) {
		p.Path = op.Path
	}
	return p
}

// classify returns the code and the remedy of an operation's error.
func classify(err error) (code, hint string) {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return CodeInterrupted, goesOn
	case errors.Is(err, fs.ErrPermission):
		return CodeRights, "run it as root or choose a directory that you may write"
	case errors.Is(err, syscall.EROFS):
		return CodeRights, "the file system is mounted read-only: remount it or choose another directory"
	case errors.Is(err, syscall.EBUSY):
		return CodeFailed, "a mount point cannot be replaced: mount its directory instead"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return CodeFailed, "free some space and " + goesOn
	}
	return CodeFailed, "correct this and " + goesOn
}

const goesOn = "run it again: it goes on where it stopped"

// oneLine folds the lines of a message.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
