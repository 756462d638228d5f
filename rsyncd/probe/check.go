package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// RefusedError says what the daemon's parser has against a configuration.
type RefusedError struct {
	Complaints []string // the daemon's own words, at least one
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("rsync does not accept the configuration: %s", strings.Join(e.Complaints, "; "))
}

// Check has the daemon bin read conf. It fails with a *RefusedError if the
// daemon would not serve it, or would serve it without what it did not
// understand; any other error means that there was no answer.
//
// The daemon does not look at paths, users or the secrets file here.
func Check(ctx context.Context, bin string, conf []byte) error {
	dir, err := os.MkdirTemp("", "syncagent-check-")
	if err != nil {
		return fmt.Errorf("check the configuration: %w", err)
	}
	defer os.RemoveAll(dir)
	file, log := filepath.Join(dir, "rsyncd.conf"), filepath.Join(dir, "log")
	if err := os.WriteFile(file, conf, 0o600); err != nil {
		return fmt.Errorf("check the configuration: %w", err)
	}
	s, err := start(ctx, bin, nil, "--daemon", "--no-detach", "--config="+file, "--log-file="+log)
	if err != nil {
		return err
	}
	greeting, readErr := s.line()
	s.close()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("check the configuration: %w", err)
	}
	said, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("check the configuration: %w", err)
	}
	return judge(greeting, readErr, said, s.stderr.Bytes())
}

func judge(greeting string, readErr error, log, stderr []byte) error {
	greeted := readErr == nil && strings.HasPrefix(greeting, greetingPrefix)
	var complaints []string
	for l := range bytes.Lines(log) {
		l := logPrefix.ReplaceAllString(strings.TrimSpace(string(l)), "")
		if !greeted && l != "" || complaint(l) {
			complaints = append(complaints, l)
		}
	}
	if len(complaints) > 0 {
		return &RefusedError{complaints}
	}
	if !greeted {
		return &RefusedError{[]string{fmt.Sprintf("no greeting (%v) %s", readErr, bytes.TrimSpace(stderr))}}
	}
	return nil
}

// logPrefix is the time and process id before each line of a log file.
var logPrefix = regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\d+\] `)

// complaint knows the words of params.c and loadparm.c about what they leave
// out or replace by a default.
func complaint(line string) bool {
	for _, words := range []string{
		"IGNORING unknown parameter",
		"Unknown Parameter encountered",
		"Badly formed boolean",
		"Ignoring badly formed line",
		"Badly formed line",
		"found in module section",
		"Unexpected end-of-file",
		"Unexpected EOF",
		"Invalid parameter name",
		"Empty section name",
		"invalid section name",
		"Unknown directive",
		"unable to stat config file",
		"unable to open config",
	} {
		if strings.Contains(line, words) {
			return true
		}
	}
	return false
}
