package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"syncagent/agent/status"
)

type waitOptions struct {
	status.Scope
	timeout time.Duration
}

func (a *app) waitCommand() *cobra.Command {
	var o waitOptions
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "wait until everything that changed so far stands on the slaves",
		Long: "Returns when everything that changed before the call stands on the slaves; what changes later is not waited for.\n" +
			"The running agent first takes every event that the kernel had queued by then, so a file that was written and closed\n" +
			"before the call is there when it returns. A file that is still open for writing is waited for until it is closed,\n" +
			"or for settle.growing. Deletes that are held and paths that a slave does not take keep it waiting: what it waits\n" +
			"for stands on standard error, and is named when --timeout runs out.\n\n" +
			"Exit status: 0 all of it is there; 1 failed, or no agent runs; 2 wrong usage; 5 --timeout ran out.",
		Example: "  cp -r release /www/www && agent wait --module www --timeout 2m",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.wait(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.Module, "module", "", "only the module `NAME`")
	f.StringVar(&o.Target, "target", "all", "only the target `NAME`; all is every one")
	a.completeScope(cmd, &o.Scope)
	f.DurationVar(&o.timeout, "timeout", 0, "give up after `TIME`, e.g. 10m")
	return cmd
}

func (a *app) wait(ctx context.Context, o waitOptions) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	if o.Target == "all" {
		o.Target = ""
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	w := &waiting{app: a, last: map[string]status.WaitUpdate{}}
	err = client.Wait(ctx, o.Scope, w.tell)
	missing := w.missing()
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		w.report(missing)
		return &exitError{exitTimeout, fmt.Errorf("not everything arrived within %s: see \"agent status\"", o.timeout)}
	case err != nil:
		return unknownNames(ctx, client, err, o.Scope)
	case ctx.Err() != nil:
		return ctx.Err()
	case len(missing) > 0: // a target was removed, or the agent ended
		w.report(missing)
		return errors.New("the agent ended or was changed before everything arrived: see \"agent status\"")
	}
	w.report(w.order)
	return nil
}

// waiting keeps the last word on each target.
type waiting struct {
	*app
	order []string
	last  map[string]status.WaitUpdate
}

// tell takes an update, and says what is new about what is waited for. A slave that is
// tried again and again for the same reason is not.
func (w *waiting) tell(u status.WaitUpdate) {
	name := u.Module + " on " + u.Target
	was, known := w.last[name]
	if !known {
		w.order = append(w.order, name)
	}
	w.last[name] = u
	if w.output == "text" && u.Waiting != "" && u.State != was.State && u.Waiting != was.Waiting {
		fmt.Fprintf(w.err, "%s: %s: %s\n", name, u.State, u.Waiting)
	}
}

func (w *waiting) missing() []string {
	return slices.DeleteFunc(slices.Clone(w.order), func(name string) bool { return w.last[name].Done })
}

// report prints the last word on the named targets.
func (w *waiting) report(names []string) {
	for _, name := range names {
		switch u := w.last[name]; {
		case w.output == "json":
			_ = json.NewEncoder(w.out).Encode(u) // a closed pipe ends us anyway
		case u.Done:
			fmt.Fprintf(w.out, "%s: everything until now is there\n", name)
		default:
			fmt.Fprintf(w.out, "%s: missing: %s\n", name, u.Waiting)
		}
	}
}
