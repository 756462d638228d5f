package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"syncagent/agent/status"
)

func (a *app) pauseCommand() *cobra.Command {
	return a.pausing("pause", "send nothing for now, and keep what changes",
		"What changes meanwhile is kept, over restarts too, and sent after \"agent resume\". A run that is under way ends first:\n"+
			"status then says paused. Nothing is swept either.\n\n"+
			"With --for it ends by itself, at the latest when the agent does, and what works on a slave for a while need not fear to leave it\n"+
			"paused: \"agent pause --target s1 --for 10m\" before, \"agent pause --target s1 --for 0s\" after. A pause without --for stays.", true)
}

func (a *app) resumeCommand() *cobra.Command {
	return a.pausing("resume", "send again after a pause", "Sends what was kept, beginning at once.", false)
}

func (a *app) pausing(name, short, long string, paused bool) *cobra.Command {
	var s status.Scope
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Long: long + "\n\nExit status: 0 done; 1 failed, no agent runs, or it holds but cannot be written to the state directory;\n" +
			"2 wrong usage.",
		Example: "  agent " + name + " --target s1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			req := status.PauseRequest{Scope: s, Paused: paused}
			if cmd.Flags().Changed("for") {
				until := time.Now().Add(limit)
				req.Until = &until
			}
			return a.setPaused(cmd.Context(), req)
		},
	}
	a.scopeFlags(cmd, &s)
	if paused {
		cmd.Flags().DurationVar(&limit, "for", 0, "only for `DURATION`, such as 10m; 0s ends such a pause")
	}
	return cmd
}

func (a *app) setPaused(ctx context.Context, req status.PauseRequest) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	list, err := client.Pause(ctx, req)
	if err != nil {
		return unknownNames(ctx, client, err, req.Scope)
	}
	return a.showChanged(list)
}

func (a *app) showChanged(list []status.Changed) error {
	if a.output == "json" {
		_ = json.NewEncoder(a.out).Encode(list) // a closed pipe ends us anyway
	}
	var failed error
	for _, c := range list {
		if c.Error != "" {
			failed = errors.Join(failed, fmt.Errorf("%s on %s: it holds until the agent ends: %s", c.Module, c.Target, c.Error))
		}
		if a.output == "text" {
			fmt.Fprintf(a.out, "%s on %s: %s\n", c.Module, c.Target, c.State)
		}
	}
	return failed
}
