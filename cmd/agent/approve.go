package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"syncagent/agent/status"
)

// heldLines is how many deletes of a target are listed for people.
const heldLines = 20

type approveOptions struct {
	status.Scope
	dryRun, yes bool
}

func (a *app) approveCommand() *cobra.Command {
	var o approveOptions
	cmd := &cobra.Command{
		Use:   "approve",
		Short: "let go what a guard holds back",
		Long: "Shows the deletes that are held, of many the first twenty, and the source directories that changed, and accepts\n" +
			"exactly what was held then. On a terminal it asks first. An approval that cannot be carried out ends after an hour.\n\n" +
			"Exit status: 0 accepted, or nothing is held; 1 failed, or something else is held by now; 3 with --dry-run:\n" +
			"something is held.",
		Example: "  agent approve --dry-run\n" +
			"  agent approve --module www --yes",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.approve(cmd.Context(), o) },
	}
	f := cmd.Flags()
	a.scopeFlags(cmd, &o.Scope)
	f.BoolVar(&o.dryRun, "dry-run", false, "only show what is held")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) approve(ctx context.Context, o approveOptions) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	held, err := client.Held(ctx, o.Scope)
	if err != nil {
		return err
	}
	if len(held) == 0 {
		if err := a.checkNames(ctx, client, o.Scope); err != nil {
			return err
		}
	}
	if err := a.showHeld(held); err != nil {
		return err
	}
	switch {
	case len(held) == 0:
		return nil
	case o.dryRun:
		return quiet(exitBehind)
	case !o.yes && !a.agreed():
		return &exitError{exitFailed, fmt.Errorf("nothing was approved")}
	}
	req := status.ApproveRequest{}
	for _, h := range held {
		req.Digests = append(req.Digests, h.Digest)
	}
	return client.Approve(ctx, req)
}

func (a *app) showHeld(held []status.Held) error {
	if a.output == "json" {
		return json.NewEncoder(a.out).Encode(held)
	}
	if len(held) == 0 {
		fmt.Fprintln(a.out, "nothing is held")
	}
	for _, h := range held {
		name := h.Module
		if h.Target != "" {
			name += " on " + h.Target
		}
		fmt.Fprintf(a.out, "%s: %s\n", name, h.Reason)
		for _, p := range h.Paths[:min(len(h.Paths), heldLines)] {
			fmt.Fprintf(a.out, "  delete %q\n", p.Name)
		}
		if more := len(h.Paths) - heldLines; more > 0 {
			fmt.Fprintf(a.out, "  ... and %d more: \"agent approve --dry-run --output json\" names them\n", more)
		}
		if h.Count > 0 {
			fmt.Fprintf(a.out, "  %s in all\n", counted(h.Count, "entry", "entries"))
		}
	}
	return nil
}

// agreed asks a person; a script that calls us has decided already.
func (a *app) agreed() bool {
	f, ok := a.in.(*os.File)
	if !ok || !isTerminal(f) {
		return true
	}
	fmt.Fprint(a.err, "approve? [y/N] ")
	line, err := bufio.NewReader(f).ReadString('\n')
	if err != nil && err != io.EOF {
		return false
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}
