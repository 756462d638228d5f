package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"syncagent/agent/config"
	"syncagent/agent/status"
)

func (a *app) statusCommand() *cobra.Command {
	var exitCode, failing bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show what is replicated, where it stands and what keeps it",
		Long:  "Asks the running agent.\n\nExit status: 0 it answered; 1 it did not; 3 with --exit-code: a target is behind.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.showStatus(cmd.Context(), exitCode, failing)
		},
	}
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit 3 when a target is behind")
	cmd.Flags().BoolVar(&failing, "failing", false, "list the paths that a target does not take")
	return cmd
}

// client returns a client of the running agent. Only its socket is asked of the
// configuration, so that a broken one does not hide a running agent.
func (a *app) client() (*status.Client, error) {
	if a.env.IsSet("socket") {
		return status.NewClient(a.env.GetString("socket")), nil
	}
	c, err := config.ReadMaster(a.file(config.RoleMaster))
	if err != nil {
		return nil, err
	}
	return status.NewClient(c.Socket), nil
}

func (a *app) showStatus(ctx context.Context, exitCode, failing bool) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	snap, err := client.Status(ctx)
	if err != nil {
		return err
	}
	switch {
	case a.output == "json":
		err = json.NewEncoder(a.out).Encode(snap)
	case failing:
		err = failingTable(a.out, snap)
	default:
		err = statusTable(a.out, snap, time.Now(), a.color(a.out))
	}
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	if exitCode && behind(snap) {
		return quiet(exitBehind)
	}
	return nil
}

func behind(s status.Snapshot) bool {
	for _, m := range s.Modules {
		for _, t := range m.Targets {
			if t.Behind() {
				return true
			}
		}
	}
	return false
}

// statusTable is the status for people: one line a target, and one more for
// whatever they should know.
func statusTable(w io.Writer, s status.Snapshot, now time.Time, color bool) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "MODULE\tTARGET\tSTATE\tPENDING\tLAG\tIN SYNC AS OF\tFAILING\tHELD")
	for _, m := range s.Modules {
		if len(m.Targets) == 0 {
			fmt.Fprintf(tw, "%s\t-\t%s\t-\t-\t-\t-\t-\n", m.Name, hooksState(m))
		}
		for _, t := range m.Targets {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s\t%s\t%d\t%d\n", m.Name, t.Name, t.State, t.Pending,
				seconds(t.Lag), inSync(t, now), t.Failing, t.HeldDeletes)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, note := range notes(s) {
		if color {
			note = "\x1b[33m" + note + "\x1b[0m"
		}
		fmt.Fprintln(w, note)
	}
	return nil
}

// hooksState is the state of a module that goes nowhere: there is nobody whom it
// could be equal to.
func hooksState(m status.Module) string {
	switch m.State {
	case status.Idle, status.Settling:
		return "hooks only"
	case "": // a reload is taking it apart
		return string(status.Starting)
	}
	return string(m.State)
}

// notes are the lines below the table.
func notes(s status.Snapshot) []string {
	var list []string
	for _, m := range s.Modules {
		if m.Blocked != "" {
			list = append(list, fmt.Sprintf("%s: %s", m.Name, m.Blocked))
		}
		if m.Blind > 0 {
			list = append(list, fmt.Sprintf("%s: %d subtrees cannot be watched and are swept instead: see \"agent doctor\"", m.Name, m.Blind))
		}
		for _, t := range m.Targets {
			list = append(list, targetNotes(m, t)...)
		}
		for _, h := range m.Hooks {
			if h.LastError != "" {
				list = append(list, fmt.Sprintf("%s: the last run of hook %s failed: %s", m.Name, h.Name, h.LastError))
			}
		}
	}
	return list
}

func targetNotes(m status.Module, t status.Target) []string {
	var list []string
	if t.LastError != "" && m.Blocked == "" {
		next := ""
		if !t.NextTry.IsZero() {
			next = "; next try at " + t.NextTry.Local().Format(time.TimeOnly)
		}
		list = append(list, fmt.Sprintf("%s on %s: %s%s", m.Name, t.Name, t.LastError, next))
	}
	if t.Sweep.Running && t.Sweep.Of > 0 {
		list = append(list, fmt.Sprintf("%s on %s: a sweep has compared %s", m.Name, t.Name, howFar(t.Sweep)))
	}
	if !t.Drift.At.IsZero() {
		list = append(list, fmt.Sprintf("%s on %s: a sweep at %s found changes that somebody else made there: %d differed, %d were extra",
			m.Name, t.Name, stamp(t.Drift.At), t.Drift.Differ, t.Drift.Extra))
	}
	if t.HeldDeletes > 0 {
		list = append(list, fmt.Sprintf("%s on %s: %d deletes are held: look at them with \"agent approve --dry-run\"", m.Name, t.Name, t.HeldDeletes))
	}
	if t.Links == "munged" || t.Owners == "lost" {
		list = append(list, fmt.Sprintf("%s on %s: symbolic links are %s, owners are %s there: run its receiver as root to keep both", m.Name, t.Name, t.Links, t.Owners))
	}
	return list
}

func howFar(s status.Sweep) string {
	return fmt.Sprintf("%d of %d entries, about %s to go", s.Entries, s.Of, time.Duration(s.ETASeconds)*time.Second)
}

func failingTable(w io.Writer, s status.Snapshot) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "MODULE\tTARGET\tPATH\tCLASS\tSINCE\tTRIES\tNEXT TRY\tRSYNC SAYS")
	for _, m := range s.Modules {
		for _, t := range m.Targets {
			for _, f := range t.FailingPaths {
				fmt.Fprintf(tw, "%s\t%s\t%q\t%s\t%s\t%d\t%s\t%s\n", m.Name, t.Name, f.Name, f.Class,
					stamp(f.Since), f.Tries, stamp(f.Next), strings.ReplaceAll(f.Error, "\t", " "))
			}
		}
	}
	return tw.Flush()
}

func stamp(t status.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func seconds(s float64) string {
	if s == 0 {
		return "-"
	}
	return time.Duration(s * float64(time.Second)).Round(10 * time.Millisecond).String()
}

// inSync says since when a target may differ: "now" is for one that does not.
func inSync(t status.Target, now time.Time) string {
	switch {
	case t.InSyncAsOf.IsZero():
		return "never"
	case !t.Behind() && now.Sub(t.InSyncAsOf.Time) < 2*time.Second:
		return "now"
	}
	return stamp(t.InSyncAsOf)
}
