package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"syncagent/agent"
	"syncagent/agent/status"
)

type syncOptions struct {
	status.SyncRequest
	timeout time.Duration
}

func (a *app) syncCommand() *cobra.Command {
	var o syncOptions
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "compare with the slaves now, and make them equal",
		Long: "One sweep now: through the running agent if there is one, else by itself.\n\n" +
			"Exit status: 0 every target is equal; 1 failed; 2 wrong usage or configuration; 3 some target is not equal;\n" +
			"5 --timeout ran out.",
		Example: "  agent sync --module www --target s1\n" +
			"  agent sync --dry-run",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.sync(cmd.Context(), o) },
	}
	f := cmd.Flags()
	a.scopeFlags(cmd, &o.Scope)
	f.BoolVar(&o.DryRun, "dry-run", false, "only list what differs")
	f.DurationVar(&o.timeout, "timeout", 0, "give up after `TIME`, e.g. 10m; the agent goes on")
	return cmd
}

func (a *app) sync(ctx context.Context, o syncOptions) error {
	c, err := a.master()
	if err != nil {
		return err
	}
	if err := checkScope(c, o.Scope); err != nil {
		return err
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	p := &progress{app: a, unequal: map[string]bool{}}
	err = status.NewClient(c.Socket).Sync(ctx, o.SyncRequest, p.tell)
	if errors.Is(err, status.ErrNotRunning) {
		bin, missing := findRsync()
		if missing != nil {
			return missing
		}
		m := agent.NewMaster(agent.MasterConfig{Config: c, Version: version, Rsync: bin, Log: a.logger(false)})
		err = m.SyncAlone(ctx, o.SyncRequest, p.tell)
	}
	if ctx.Err() == context.DeadlineExceeded {
		return &exitError{exitTimeout, fmt.Errorf("not equal after %s: see \"agent status\"", o.timeout)}
	}
	if err != nil {
		return err
	}
	return p.end()
}

// progress prints what a sync tells: the end of each target to standard output,
// the rest to standard error.
type progress struct {
	*app
	unequal map[string]bool
	failed  string
	last    map[string]status.State
	line    map[string]string
}

func (p *progress) tell(u status.SyncUpdate) {
	name := u.Module + " on " + u.Target
	switch {
	case u.Module == "":
		p.failed = u.Error
	case u.Done:
		p.unequal[name] = !u.Equal
		p.done(name, u)
	case p.output == "text":
		line := fmt.Sprintf("%s, %d pending", u.State, u.Pending)
		if u.Sweep.Entries > 0 && u.Sweep.Of > 0 {
			line += ", " + howFar(u.Sweep)
		}
		p.step(name, u.State, line)
	}
}

// step prints a line when the state is another one, or a sweep got on.
func (p *progress) step(name string, state status.State, line string) {
	if p.last == nil {
		p.last, p.line = map[string]status.State{}, map[string]string{}
	}
	if p.last[name] != state || state == status.Sweeping && p.line[name] != line {
		fmt.Fprintf(p.err, "%s: %s\n", name, line)
	}
	p.last[name], p.line[name] = state, line
}

func (p *progress) done(name string, u status.SyncUpdate) {
	if p.output == "json" {
		_ = json.NewEncoder(p.out).Encode(u) // a closed pipe ends us anyway
		return
	}
	for _, d := range u.Differ {
		fmt.Fprintf(p.out, "%s: %q %s\n", name, d.Name, d.Change)
	}
	switch {
	case u.Error != "":
		fmt.Fprintf(p.out, "%s: not equal: %s\n", name, u.Error)
	case u.Held > 0:
		fmt.Fprintf(p.out, "%s: not equal: %d deletes are held: look at them with \"agent approve --dry-run\"\n", name, u.Held)
	case !u.Equal:
		fmt.Fprintf(p.out, "%s: not equal\n", name)
	default:
		fmt.Fprintf(p.out, "%s: equal\n", name)
	}
}

func (p *progress) end() error {
	if p.failed != "" {
		return errors.New(p.failed)
	}
	for _, unequal := range p.unequal {
		if unequal {
			return quiet(exitBehind)
		}
	}
	return nil
}
