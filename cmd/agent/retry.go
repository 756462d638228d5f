package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"syncagent/agent/status"
)

func (a *app) retryCommand() *cobra.Command {
	var req status.RetryRequest
	cmd := &cobra.Command{
		Use:   "retry [PATH]",
		Short: "try failing paths again, now",
		Long: "Tries every path that a slave does not take at once, and a slave that takes nothing too, without waiting for the time\n" +
			"that \"agent status --failing\" names. With PATH only those at and below it, absolute or relative to the module's\n" +
			"directory. It does not wait for the outcome: \"agent wait\" does.\n\n" +
			"Exit status: 0 they are being tried; 1 failed, no agent runs, or nothing fails at PATH; 2 wrong usage.",
		Example: "  agent retry\n" +
			"  agent retry --target s1 /www/www/upload",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				req.Path.Name = args[0]
			}
			return a.retry(cmd.Context(), req)
		},
	}
	a.scopeFlags(cmd, &req.Scope)
	return cmd
}

func (a *app) retry(ctx context.Context, req status.RetryRequest) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	list, err := client.Retry(ctx, req)
	if err != nil {
		return unknownNames(ctx, client, err, req.Scope)
	}
	if a.output == "json" {
		return json.NewEncoder(a.out).Encode(list)
	}
	for _, c := range list {
		if c.Paths > 0 {
			fmt.Fprintf(a.out, "%s on %s: %s tried again\n", c.Module, c.Target, counted(c.Paths, "path is", "paths are"))
		}
	}
	return a.nothingFails(list)
}

// nothingFails says so for people, who would wonder at an empty answer. A slave that
// took nothing is tried all the same.
func (a *app) nothingFails(list []status.Changed) error {
	for _, c := range list {
		if c.Paths > 0 {
			return nil
		}
	}
	_, err := fmt.Fprintln(a.out, "no path fails; a slave that takes nothing is tried again now: see \"agent status\"")
	return err
}

// counted is a number with its word.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
