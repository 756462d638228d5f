package provision

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	serviceSystemd = "systemd"
	serviceNone    = "none"
)

// stopGrace is how long a cancelled systemctl may take to end.
const stopGrace = 5 * time.Second

// systemctl runs the program of that name. The bus would save a process and
// cost a protocol: systemctl also works where only the private socket does,
// and enabling and unmasking are its own work on some releases.
type systemctl struct{}

func (systemctl) UnitState(ctx context.Context, unit string) (UnitState, error) {
	out, err := runSystemctl(ctx, "show", "--property=ActiveState,UnitFileState", unit)
	if err != nil {
		return UnitState{}, err
	}
	return parseShow(out), nil
}

func (systemctl) Do(ctx context.Context, verb, unit string) error {
	args := []string{verb}
	if unit != "" {
		args = append(args, unit)
	}
	_, err := runSystemctl(ctx, args...)
	return err
}

// parseShow reads KEY=VALUE lines of "systemctl show"; states are those of
// systemctl(1). A unit without an [Install] section counts as enabled, since
// nothing more can be done.
func parseShow(out string) UnitState {
	var st UnitState
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "ActiveState":
			st.Active = value == "active" || value == "reloading" || value == "activating"
		case "UnitFileState":
			st.Masked = strings.HasPrefix(value, "masked")
			st.Enabled = enabledState(value)
		}
	}
	return st
}

func enabledState(s string) bool {
	switch s {
	case "enabled", "static", "alias", "indirect", "generated":
		return true
	}
	return false
}

// runSystemctl runs it in a process group of its own and leaves nothing behind.
func runSystemctl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "systemctl", append([]string{"--no-ask-password"}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it may have left; usually nothing
	}
	if ctx.Err() != nil {
		err = ctx.Err() // says more than the signal that followed from it
	}
	if err != nil {
		return "", fmt.Errorf("systemctl %s: %w%s", strings.Join(args, " "), err, lastLines(stderr.String()))
	}
	return stdout.String(), nil
}

// lastLines returns the last three lines of what a program said, in one line.
func lastLines(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' })
	lines = lines[max(0, len(lines)-3):]
	if len(lines) == 0 {
		return ""
	}
	return ": " + strings.Join(lines, "; ")
}
