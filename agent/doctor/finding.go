package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"syncagent/agent/config"
)

// Level says how bad a finding is.
type Level string

// The levels of a finding.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Finding is the answer to one question about the host.
type Finding struct {
	Level   Level  `json:"level"`
	Check   string `json:"check"`   // one word: what was looked at
	Subject string `json:"subject"` // the very file, module, target or port
	Text    string `json:"text"`    // what was found, one line
	Remedy  string `json:"remedy"`  // what to do, one line; "" when all is well
}

// Failed reports whether any finding is a failure.
func Failed(list []Finding) bool {
	return slices.ContainsFunc(list, func(f Finding) bool { return f.Level == Fail })
}

// about is what a row of findings has in common.
type about struct{ check, subject string }

func (a about) ok(format string, args ...any) Finding {
	return Finding{Level: OK, Check: a.check, Subject: a.subject, Text: oneLine(fmt.Sprintf(format, args...))}
}

func (a about) warn(remedy, format string, args ...any) Finding {
	return a.bad(Warn, remedy, format, args...)
}

func (a about) fail(remedy, format string, args ...any) Finding {
	return a.bad(Fail, remedy, format, args...)
}

func (a about) bad(level Level, remedy, format string, args ...any) Finding {
	f := a.ok(format, args...)
	f.Level, f.Remedy = level, oneLine(remedy)
	return f
}

// oneLine joins the lines of several errors.
func oneLine(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
}

// Config judges how reading a configuration file went: every fault is a finding
// of its own. A nil error looks at who may change the file instead.
func Config(file string, err error) []Finding {
	a := about{"config", file}
	var faults config.Faults
	var fault *config.Fault
	switch {
	case err == nil:
		return []Finding{private(a, file, "the whole replication")}
	case errors.As(err, &faults):
		list := make([]Finding, len(faults))
		for i, f := range faults {
			list[i] = faultOf(a, f, f.Error())
		}
		return list
	case errors.As(err, &fault):
		return []Finding{faultOf(a, fault, err.Error())}
	}
	return []Finding{a.fail("make the file readable, or name another with --config", "%v", err)}
}

// faultOf splits a fault's one line into what is wrong and what to do. The line
// may have been wrapped, so the hint is cut off its end.
func faultOf(a about, f *config.Fault, line string) Finding {
	remedy := f.Hint
	if remedy == "" {
		remedy = "mend it, and check with \"agent config validate\""
	}
	return a.fail(remedy, "%s", strings.TrimSuffix(line, ": "+f.Hint))
}
