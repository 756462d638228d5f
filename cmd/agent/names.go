package main

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"syncagent/agent/config"
	"syncagent/agent/status"
)

// names are the modules there are, each with its targets.
type names map[string][]string

func namesOf(s status.Snapshot) names {
	n := names{}
	for _, m := range s.Modules {
		n[m.Name] = nil
		for _, t := range m.Targets {
			n[m.Name] = append(n[m.Name], t.Name)
		}
	}
	return n
}

func configuredNames(modules []config.Module) names {
	n := names{}
	for _, m := range modules {
		n[m.Name] = nil
		for _, t := range m.Targets {
			n[m.Name] = append(n[m.Name], t.Name)
		}
	}
	return n
}

func (n names) modules() []string { return slices.Sorted(maps.Keys(n)) }

// targets lists those of a module, or of all.
func (n names) targets(module string) []string {
	var list []string
	for m, targets := range n {
		if module == "" || module == m {
			list = append(list, targets...)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// check returns an error of usage for a name that nothing has.
func (n names) check(s status.Scope) error {
	if _, ok := n[s.Module]; s.Module != "" && !ok {
		return usage("there is no module %q: %s", s.Module, config.Suggest(s.Module, n.modules()))
	}
	targets := n.targets(s.Module)
	switch {
	case s.Target == "" || slices.Contains(targets, s.Target):
		return nil
	case s.Module != "":
		return usage("module %s has no target %q: %s", s.Module, s.Target, config.Suggest(s.Target, targets))
	}
	return usage("there is no target %q: %s", s.Target, config.Suggest(s.Target, targets))
}

// unknownNames makes names that nothing has an error of usage.
func unknownNames(ctx context.Context, c *status.Client, err error, s status.Scope) error {
	if !errors.Is(err, status.ErrUnknown) {
		return err
	}
	snap, failed := c.Status(ctx)
	if failed != nil {
		return failed
	}
	if wrong := namesOf(snap).check(s); wrong != nil {
		return wrong
	}
	if s.Module != "" {
		return usage("module %s has no target: look at its hooks with \"agent status --output json\"", s.Module)
	}
	return usage("no module has a target: look at the hooks with \"agent status --output json\"")
}

// checkNames asks the agent whether the names are there, where an empty answer
// would hide that they are not.
func (a *app) checkNames(ctx context.Context, c *status.Client, s status.Scope) error {
	if s == (status.Scope{}) {
		return nil
	}
	snap, err := c.Status(ctx)
	if err != nil {
		return err
	}
	return namesOf(snap).check(s)
}

// scopeFlags adds the flags that name a module and a target, and has a shell
// complete them.
func (a *app) scopeFlags(cmd *cobra.Command, s *status.Scope) {
	cmd.Flags().StringVar(&s.Module, "module", "", "only the module `NAME`")
	cmd.Flags().StringVar(&s.Target, "target", "", "only the target `NAME`")
	a.completeScope(cmd, s)
}

func (a *app) completeScope(cmd *cobra.Command, s *status.Scope) {
	// The errors only say that the flag is not there or has a function already.
	_ = cmd.RegisterFlagCompletionFunc("module", a.completing(func(n names) []string { return n.modules() }))
	_ = cmd.RegisterFlagCompletionFunc("target", a.completing(func(n names) []string { return n.targets(s.Module) }))
}

// completing offers names out of the configuration, which a shell may ask for
// where no agent runs.
func (a *app) completing(pick func(names) []string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		c, err := config.ReadMaster(a.file(config.RoleMaster))
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		modules, err := c.Modules()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return pick(configuredNames(modules)), cobra.ShellCompDirectiveNoFileComp
	}
}
