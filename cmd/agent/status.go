package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"syncagent/agent/status"
)

type statusOptions struct {
	status.Scope
	exitCode, failing, watch bool
}

func (a *app) statusCommand() *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show what is replicated, where it stands and what keeps it",
		Long: "Asks the running agent, and prints a line a target and a note for whatever one should know.\n\n" +
			"Exit status: 0 it answered; 1 it did not; 3 with --exit-code: a target is behind.",
		Args: cobra.NoArgs,
		Example: "  agent status --watch\n" +
			"  agent status --module www --failing\n" +
			"  agent status --output json | jq '.modules[] | {name, targets: [.targets[] | {name, state, lag_seconds}]}'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.watch {
				return a.watchStatus(cmd.Context(), o)
			}
			return a.showStatus(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", false, "exit 3 when a target is behind")
	cmd.Flags().BoolVar(&o.failing, "failing", false, "list the paths that a target does not take")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "show it again every second, until Ctrl-C")
	a.scopeFlags(cmd, &o.Scope)
	return cmd
}

// client returns a client of the running agent. Only its socket is asked of the
// configuration, so that a broken one does not hide a running agent.
func (a *app) client() (*status.Client, error) {
	if a.env.IsSet("socket") {
		return status.NewClient(a.env.GetString("socket")), nil
	}
	c, err := a.readMaster()
	if err != nil {
		return nil, err
	}
	return status.NewClient(c.Socket), nil
}

func (a *app) showStatus(ctx context.Context, o statusOptions) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	snap, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if err := namesOf(snap).check(o.Scope); err != nil {
		return err
	}
	snap = within(snap, o.Scope)
	var text bytes.Buffer // written at once, so that --watch does not flicker
	switch {
	case a.output == "json":
		err = json.NewEncoder(&text).Encode(snap)
	case o.failing:
		err = failingTable(&text, snap)
	default:
		err = statusTable(&text, snap, time.Now(), a.color(a.out))
	}
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	if o.watch && a.output == "text" && a.terminal(a.out) {
		fmt.Fprint(a.out, clearScreen)
	}
	if _, err := text.WriteTo(a.out); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	if o.exitCode && behind(snap) {
		return quiet(exitBehind)
	}
	return nil
}

// clearScreen moves a terminal's cursor home and clears what is below it (ECMA-48).
const clearScreen = "\x1b[H\x1b[2J"

// watchStatus shows the status until it is interrupted. Once it was there, an agent
// that is restarted does not end it.
func (a *app) watchStatus(ctx context.Context, o statusOptions) error {
	o.exitCode = false // it would end at the first change
	if err := a.showStatus(ctx, o); err != nil {
		return err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := a.showStatus(ctx, o); err != nil && ctx.Err() == nil {
			if !errors.Is(err, status.ErrNotRunning) {
				return err
			}
			fmt.Fprintf(a.err, "agent: %s\n", err)
		}
	}
}

// within leaves what the scope names.
func within(s status.Snapshot, scope status.Scope) status.Snapshot {
	if scope == (status.Scope{}) {
		return s
	}
	var modules []status.Module
	for _, m := range s.Modules {
		m.Targets = slices.DeleteFunc(slices.Clone(m.Targets), func(t status.Target) bool { return !scope.Holds(m.Name, t.Name) })
		if len(m.Targets) > 0 || scope.Target == "" && scope.Module == m.Name {
			modules = append(modules, m)
		}
	}
	s.Modules = modules
	return s
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
	if s.Entries == 0 || s.ETASeconds == 0 { // too early to tell
		return fmt.Sprintf("%d of %d entries", s.Entries, s.Of)
	}
	return fmt.Sprintf("%d of %d entries, about %s to go", s.Entries, s.Of, time.Duration(s.ETASeconds)*time.Second)
}

func failingTable(w io.Writer, s status.Snapshot) error {
	if !anyFailing(s) {
		_, err := fmt.Fprintln(w, "no path fails")
		return err
	}
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

func anyFailing(s status.Snapshot) bool {
	for _, m := range s.Modules {
		for _, t := range m.Targets {
			if len(t.FailingPaths) > 0 {
				return true
			}
		}
	}
	return false
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
