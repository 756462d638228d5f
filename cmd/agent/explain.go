package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"syncagent/agent/status"
)

func (a *app) explainCommand() *cobra.Command {
	var req status.ExplainRequest
	cmd := &cobra.Command{
		Use:   "explain PATH",
		Short: "say what becomes of a path, and why",
		Long: "Tells which module holds PATH and which rule decides about it, whether its changes are noticed and by what, and where it\n" +
			"stands on each slave: confirmed, dirty (to be sent), sending, failing, held (a delete that waits for approval), or\n" +
			"sweep (only the comparison that is due can tell); and what was last tried with it there, with rsync's words.\n" +
			"PATH is absolute, or relative to a module's directory.\n\n" +
			"Exit status: 0 answered; 1 failed, no agent runs, or no module holds PATH; 2 wrong usage.",
		Example: "  agent explain /www/www/index.html\n" +
			"  agent explain --module www index.html",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Path.Name = args[0]
			return a.explain(cmd.Context(), req)
		},
	}
	a.scopeFlags(cmd, &req.Scope)
	return cmd
}

func (a *app) explain(ctx context.Context, req status.ExplainRequest) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	list, err := client.Explain(ctx, req)
	if err != nil {
		return unknownNames(ctx, client, err, req.Scope)
	}
	if a.output == "json" {
		return json.NewEncoder(a.out).Encode(list)
	}
	for _, e := range list {
		explainText(a.out, e)
	}
	return nil
}

func explainText(w io.Writer, e status.Explanation) {
	fmt.Fprintf(w, "%s: %q %s\n", e.Module, e.Path.Name, whatIsHere(e.Entry))
	switch {
	case e.Rule == "":
		fmt.Fprintln(w, "  rule:    none matches, so it is replicated")
	case e.Excluded:
		fmt.Fprintf(w, "  rule:    %q excludes %q\n", e.Rule, e.RulePath.Name)
	default:
		fmt.Fprintf(w, "  rule:    %q includes it\n", e.Rule)
	}
	seen := "not watched: "
	if e.Watched {
		seen = "by "
	}
	fmt.Fprintf(w, "  watched: %s%s\n", seen, e.Watcher)
	if e.Blocked != "" {
		fmt.Fprintf(w, "  blocked: %s\n", e.Blocked)
	}
	if e.Excluded {
		return // what a target may hold there is its own
	}
	if len(e.Targets) == 0 {
		fmt.Fprintln(w, "  on nobody: the module has no target, its changes go to its hooks")
	}
	for _, t := range e.Targets {
		fmt.Fprintf(w, "  on %s: %s, target is %s\n", t.Name, t.Where, t.State)
		if t.Error != "" {
			fmt.Fprintf(w, "    %s, %s, next at %s: %s\n", t.Class, counted(t.Tries, "try", "tries"), stamp(t.Next), t.Error)
		}
		fmt.Fprintf(w, "    %s\n", lastAttempt(e, t))
	}
}

func whatIsHere(entry string) string {
	if entry == "missing" {
		return "is not there"
	}
	return "is a " + entry + " here"
}

// lastAttempt is one line about what was last tried.
func lastAttempt(e status.Explanation, t status.ExplainedTarget) string {
	a := t.Last
	if a == nil {
		return "no attempt on record: the last 1,000 since the start are"
	}
	line := "last attempt at " + stamp(a.Time) + ": "
	if a.Name != e.Path.Name {
		line += fmt.Sprintf("%q ", a.Name)
	}
	if a.Class != "" {
		return line + fmt.Sprintf("not %s, %s: %s", a.Did, a.Class, a.Error)
	}
	return line + a.Did + ", rsync reported no trouble"
}
