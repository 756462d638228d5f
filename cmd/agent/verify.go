package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"syncagent/agent"
	"syncagent/agent/status"
)

type verifyOptions struct {
	status.Scope
	checksum bool
	repair   bool
}

func (a *app) verifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "compare the slaves with the source",
		Long: "Names everything that differs on any target, and changes nothing. With --checksum every byte is read on both sides.\n" +
			"With --repair what differs is then made equal, as \"agent sync\" does: through the running agent if there is one, by the\n" +
			"same guards, and with every byte read again if --checksum is given.\n\n" +
			"Exit status: 0 all is equal, or was made equal; 1 failed; 2 wrong usage or configuration; 3 something differs.",
		Example: "  agent verify --module www --checksum\n" +
			"  agent verify --repair",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.verify(cmd.Context(), o) },
	}
	f := cmd.Flags()
	a.scopeFlags(cmd, &o.Scope)
	f.BoolVar(&o.checksum, "checksum", false, "read every byte")
	f.BoolVar(&o.repair, "repair", false, "make equal what differs")
	return cmd
}

func (a *app) verify(ctx context.Context, o verifyOptions) error {
	c, err := a.master()
	if err != nil {
		return err
	}
	if err := checkScope(c, o.Scope); err != nil {
		return err
	}
	bin, err := findRsync()
	if err != nil {
		return err
	}
	code := exitOK
	report := func(v agent.Verdict) {
		code = max(code, a.showVerdict(v))
	}
	if err := agent.Verify(ctx, agent.MasterConfig{Config: c, Rsync: bin, Log: a.logger(false)}, o.Scope, o.checksum, report); err != nil {
		return err
	}
	if code != exitOK && o.repair {
		return a.sync(ctx, syncOptions{SyncRequest: status.SyncRequest{Scope: o.Scope, Checksum: o.checksum}})
	}
	return quiet(code)
}

// showVerdict prints one target's verdict and returns the exit code it means.
func (a *app) showVerdict(v agent.Verdict) int {
	if a.output == "json" {
		_ = json.NewEncoder(a.out).Encode(v) // a closed pipe ends us anyway
	} else {
		verdictText(a.out, v)
	}
	if v.Error != "" || len(v.Differ) > 0 {
		return exitBehind
	}
	return exitOK
}

func verdictText(w io.Writer, v agent.Verdict) {
	name := v.Module + " on " + v.Target
	for _, d := range v.Differ {
		fmt.Fprintf(w, "%s: %q %s\n", name, d.Name, d.Change)
	}
	switch {
	case v.Error != "":
		fmt.Fprintf(w, "%s: cannot be compared: %s\n", name, v.Error)
	case len(v.Differ) > 0:
		fmt.Fprintf(w, "%s: %d differences, %d entries compared\n", name, len(v.Differ), v.Entries)
	default:
		fmt.Fprintf(w, "%s: equal, %d entries compared\n", name, v.Entries)
	}
}
