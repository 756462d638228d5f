package hook

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"syncagent/agent/proc"
)

// stopGrace is what a command has between TERM and KILL.
const stopGrace = 2 * time.Second

// maxOutput is how much of a command's output is kept for the log, in bytes.
const maxOutput = 4 << 10

// Spawner starts a child process; proc.Spawner is one.
type Spawner interface {
	Start(cmd *exec.Cmd) (*proc.Child, error)
}

// Command runs a program. When one of Argv's words holds a placeholder of a path
// it takes one path at a time; else one run is for all, with the absolute paths on
// standard input, a NUL behind each.
type Command struct {
	Argv    []string
	Spawner Spawner
}

// Legacy returns the argument list of prefix, absolute path and suffix, whose
// blanks separate words.
func Legacy(prefix, suffix string) []string {
	return slices.Concat(strings.Fields(prefix), []string{"{path}"}, strings.Fields(suffix))
}

// PerPath implements PerPath.
func (c Command) PerPath() bool { return ofPath(c.Argv...) }

// Run implements Runner. It starts one child and waits for it and all of its
// group: what it leaves behind in its group is ended with it.
func (c Command) Run(ctx context.Context, e Event) error {
	argv := make([]string, len(c.Argv))
	for i, word := range c.Argv {
		argv[i] = expand(word, words(e), nil)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), environment(e)...)
	cmd.WaitDelay = stopGrace // for descendants that left the group and keep its output open
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	if !ofPath(c.Argv...) {
		cmd.Stdin = bytes.NewReader(list(e))
	}
	child, err := c.Spawner.Start(cmd)
	if err != nil {
		return fmt.Errorf("run hook: %w", err)
	}
	select {
	case <-child.Done():
		err = child.Wait()
	case <-ctx.Done():
		_ = child.Stop(stopGrace)
		err = fmt.Errorf("ended: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("run %s: %w%s", argv[0], err, out.quoted())
	}
	return nil
}

// list is what a command reads.
func list(e Event) []byte {
	var b bytes.Buffer
	for _, p := range e.Paths {
		b.WriteString(e.Abs(p.Path))
		b.WriteByte(0)
	}
	return b.Bytes()
}

// environment tells a command what its arguments need not.
func environment(e Event) []string {
	env := []string{
		"SYNCAGENT_HOOK_MODULE=" + e.Module, "SYNCAGENT_HOOK_ROOT=" + e.Root, "SYNCAGENT_HOOK_TARGET=" + e.Target,
		"SYNCAGENT_HOOK_DELIVERY=" + e.delivery,
	}
	if s := e.State; s != nil {
		return append(env, "SYNCAGENT_HOOK_STATE="+s.State, "SYNCAGENT_HOOK_CLASS="+s.Class, "SYNCAGENT_HOOK_ERROR="+strings.ReplaceAll(s.Error, "\x00", ""))
	}
	return append(env, "SYNCAGENT_HOOK_RESULT="+e.result())
}

// tail keeps the end of what is written to it.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if over := len(t.text) - maxOutput; over > 0 {
		t.text = slices.Delete(t.text, 0, over)
	}
	return len(p), nil
}

// quoted is the last line that says something, fit for an error.
func (t *tail) quoted() string {
	lines := strings.Split(strings.TrimSpace(string(t.text)), "\n")
	last := lines[len(lines)-1]
	if last == "" {
		return ""
	}
	return fmt.Sprintf(": it said %.200q", last)
}
