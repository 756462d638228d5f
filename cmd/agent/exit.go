package main

import (
	"context"
	"errors"
	"fmt"

	"syncagent/agent/config"
	"syncagent/agent/provision"
)

// The exit codes, everywhere the same.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2 // wrong usage or configuration; nothing was touched
	exitBehind  = 3 // some target or path is behind
	exitPending = 4 // a check found changes pending
	exitTimeout = 5 // a limit of time ran out
)

// exitError ends the program with a code. A nil err means that everything was
// said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage makes an error of the user's words.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// quiet ends with a code and nothing more to say.
func quiet(code int) error {
	if code == exitOK {
		return nil
	}
	return &exitError{code, nil}
}

// exitCode tells what went wrong, if anything, and returns the code for it.
func (a *app) exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	code := exitFailed
	var exit *exitError
	var faults config.Faults
	var fault *config.Fault
	switch {
	case errors.As(err, &exit):
		code = exit.code
		if exit.err == nil {
			return code
		}
	case errors.As(err, &faults), errors.As(err, &fault):
		code = exitUsage
	case errors.Is(err, context.DeadlineExceeded):
		code = exitTimeout
	}
	for _, line := range lines(err) {
		fmt.Fprintf(a.err, "agent: %s\n", line)
	}
	return code
}

// lines are the parts of a joined error, one each.
func lines(err error) []string {
	var faults config.Faults
	if errors.As(err, &faults) {
		var list []string
		for _, f := range faults {
			list = append(list, f.Error())
		}
		return list
	}
	var p *provision.Problem
	if errors.As(err, &p) && p.Hint != "" {
		return []string{err.Error() + ": " + p.Hint}
	}
	return []string{err.Error()}
}
