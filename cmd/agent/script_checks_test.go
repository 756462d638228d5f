package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"syncagent/agent/manifest"
	"syncagent/agent/status"
)

const (
	patience  = 30 * time.Second
	pollFirst = 5 * time.Millisecond
	pollLast  = 200 * time.Millisecond
)

// check is a question that can be asked again. Its error is "no", and why.
type check func(ts *testscript.TestScript, args []string) error

func checks() map[string]check {
	return map[string]check{
		"runs":     checkRuns,
		"prints":   checkPrints,
		"exits":    checkExits,
		"there":    checkThere,
		"has":      checkHas,
		"equal":    checkEqual,
		"sametree": checkSameTree,
		"target":   checkTarget,
		"json":     checkJSON,
		"perm":     checkPerm,
		"listens":  checkListens,
		"cmdline":  checkCmdline,
	}
}

// misuse is a mistake in a script, which no waiting mends.
type misuse struct{ text string }

func (m misuse) Error() string { return m.text }

func need(args []string, least, most int, usage string) error {
	if len(args) < least || most >= least && len(args) > most {
		return misuse{"usage: " + usage}
	}
	return nil
}

// once makes a command of a check.
func once(c check) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) { ts.Check(answer(c, ts, neg, args)) }
}

func answer(c check, ts *testscript.TestScript, neg bool, args []string) error {
	err := c(ts, args)
	switch {
	case errors.As(err, new(misuse)) || !neg:
		return err
	case err == nil:
		return errors.New("it is so, against expectation")
	}
	return nil
}

func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("write eventually ! CHECK")
	}
	if len(args) > 0 && args[0] == "!" {
		neg, args = true, args[1:]
	}
	if len(args) == 0 || checks()[args[0]] == nil {
		ts.Fatalf("usage: eventually [!] CHECK ARGS...")
	}
	poll(ts, checks()[args[0]], neg, args[1:])
}

// poll asks until the answer is yes, or no if neg.
func poll(ts *testscript.TestScript, ask check, neg bool, args []string) {
	pause := pollFirst
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		err := answer(ask, ts, neg, args)
		if err == nil {
			return
		}
		if errors.As(err, new(misuse)) || time.Now().After(end) {
			ts.Fatalf("asked for %s at most: %v", patience, err)
		}
		pause = min(2*pause, pollLast)
	}
}

func checkRuns(ts *testscript.TestScript, args []string) error {
	if err := need(args, 1, -1, "runs CMD ARGS..."); err != nil {
		return err
	}
	return ts.Exec(args[0], args[1:]...)
}

func checkPrints(ts *testscript.TestScript, args []string) error {
	if err := need(args, 2, -1, "prints REGEXP CMD ARGS..."); err != nil {
		return err
	}
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		return err
	}
	return matches(args[0], ts.ReadFile("stdout"))
}

func matches(expr, text string) error {
	re, err := regexp.Compile("(?m)" + expr)
	if err != nil {
		return misuse{err.Error()}
	}
	if !re.MatchString(text) {
		return fmt.Errorf("no match for %q in:\n%s", expr, text)
	}
	return nil
}

func checkExits(ts *testscript.TestScript, args []string) error {
	if err := need(args, 2, -1, "exits CODE CMD ARGS..."); err != nil {
		return err
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return misuse{err.Error()}
	}
	got := 0
	var failed *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &failed):
		got = failed.ExitCode()
	case err != nil:
		return misuse{err.Error()}
	}
	if got != want {
		return fmt.Errorf("exit code %d, want %d", got, want)
	}
	return nil
}

func checkThere(ts *testscript.TestScript, args []string) error {
	for _, name := range args {
		if _, err := os.Lstat(ts.MkAbs(name)); err != nil {
			return err
		}
	}
	return need(args, 1, -1, "there FILE...")
}

func checkHas(ts *testscript.TestScript, args []string) error {
	if err := need(args, 2, 2, "has FILE REGEXP"); err != nil {
		return err
	}
	text, err := os.ReadFile(ts.MkAbs(args[0]))
	if err != nil {
		return err
	}
	return matches(args[1], string(text))
}

func checkEqual(ts *testscript.TestScript, args []string) error {
	if err := need(args, 2, 2, "equal A B"); err != nil {
		return err
	}
	a, errA := os.ReadFile(ts.MkAbs(args[0]))
	b, errB := os.ReadFile(ts.MkAbs(args[1]))
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return fmt.Errorf("%s has %d bytes, %s has %d, and they differ", args[0], len(a), args[1], len(b))
	}
	return nil
}

func checkSameTree(ts *testscript.TestScript, args []string) error {
	if err := need(args, 2, 2, "sametree A B"); err != nil {
		return err
	}
	opt := manifest.Everything()
	opt.Vanishing = true
	a, errA := manifest.Read(ts.MkAbs(args[0]), opt)
	b, errB := manifest.Read(ts.MkAbs(args[1]), opt)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if diff := manifest.Diff(a, b); len(diff) > 0 {
		return fmt.Errorf("%s differs from %s at %d paths, first: %s", args[1], args[0], len(diff), diff[0])
	}
	return nil
}

func checkTarget(ts *testscript.TestScript, args []string) error {
	if err := need(args, 3, -1, "target NAME MODULE/TARGET COND..."); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	snap, err := status.NewClient(filepath.Join(ts.MkAbs(args[0]), "agent.sock")).Status(ctx)
	if err != nil {
		return err
	}
	module, name, _ := strings.Cut(args[1], "/")
	for _, m := range snap.Modules {
		for _, t := range m.Targets {
			if m.Name == module && t.Name == name {
				return conditions(t, args[2:])
			}
		}
	}
	return fmt.Errorf("there is no %s", args[1])
}

func conditions(t status.Target, conds []string) error {
	raw, err := json.Marshal(t)
	if err != nil {
		return err
	}
	for _, c := range conds {
		at := strings.IndexAny(c, "=~")
		if at < 0 {
			return misuse{c + ": write key=value or key~regexp"}
		}
		got, err := lookup(raw, c[:at])
		if err != nil {
			return misuse{err.Error()}
		}
		if c[at] == '=' && got != c[at+1:] || c[at] == '~' && matches(c[at+1:], got) != nil {
			return fmt.Errorf("want %s, is %s in %s", c, got, raw)
		}
	}
	return nil
}

func checkJSON(ts *testscript.TestScript, args []string) error {
	if err := need(args, 2, 3, "json FILE PATH [VALUE]"); err != nil {
		return err
	}
	got, err := lookup([]byte(ts.ReadFile(args[0])), args[1])
	if err != nil {
		return err
	}
	if len(args) == 3 && got != args[2] {
		return fmt.Errorf("%s is %s, want %s", args[1], got, args[2])
	}
	return nil
}

// lookup returns the text of a string at a dotted path, and JSON of all else.
func lookup(data []byte, path string) (string, error) {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return "", fmt.Errorf("%w: %s", err, data)
	}
	for key := range strings.SplitSeq(path, ".") {
		switch node := v.(type) {
		case map[string]any:
			next, ok := node[key]
			if !ok {
				return "", fmt.Errorf("%s: there is no %q", path, key)
			}
			v = next
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(node) {
				return "", fmt.Errorf("%s: there is no entry %s of %d", path, key, len(node))
			}
			v = node[i]
		default:
			return "", fmt.Errorf("%s: nothing is below %v", path, v)
		}
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	raw, err := json.Marshal(v)
	return string(raw), err
}

func checkPerm(ts *testscript.TestScript, args []string) error {
	if err := need(args, 2, -1, "perm MODE FILE..."); err != nil {
		return err
	}
	for _, name := range args[1:] {
		info, err := os.Lstat(ts.MkAbs(name))
		if err != nil {
			return err
		}
		if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
			return fmt.Errorf("%s has mode %s, want %s", name, got, args[0])
		}
	}
	return nil
}

func checkListens(_ *testscript.TestScript, args []string) error {
	if err := need(args, 1, 1, "listens PORT"); err != nil {
		return err
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", args[0]), patience)
	if err != nil {
		return err
	}
	return conn.Close()
}

func checkCmdline(_ *testscript.TestScript, args []string) error {
	if err := need(args, 1, 1, "cmdline TEXT"); err != nil {
		return err
	}
	if len(processesWith(args[0])) == 0 {
		return fmt.Errorf("no process has %q in its arguments", args[0])
	}
	return nil
}
