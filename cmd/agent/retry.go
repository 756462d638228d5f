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
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				req.Path.Name = args[0]
			}
			return a.retry(cmd.Context(), req)
		},
	}
	cmd.Flags().StringVar(&req.Module, "module", "", "only the module `NAME`")
	cmd.Flags().StringVar(&req.Target, "target", "", "only the target `NAME`")
	return cmd
}

func (a *app) retry(ctx context.Context, req status.RetryRequest) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	list, err := client.Retry(ctx, req)
	if err != nil {
		return unknownNames(err, req.Scope)
	}
	if a.output == "json" {
		return json.NewEncoder(a.out).Encode(list)
	}
	for _, c := range list {
		fmt.Fprintf(a.out, "%s on %s: %d paths are tried again\n", c.Module, c.Target, c.Paths)
	}
	return nil
}
