package main

import (
	"context"

	"github.com/spf13/cobra"

	"syncagent/agent"
	"syncagent/agent/config"
)

type masterOptions struct {
	initOptions
	targets []string
}

func (a *app) initMasterCommand() *cobra.Command {
	var o masterOptions
	cmd := &cobra.Command{
		Use:   "master",
		Short: "make this host push its trees to slaves",
		Long: "Writes the configuration and the password file, and has the agent started and started at boot. Calling it\n" +
			"again changes nothing; calling it with another module or target adds that one.\n" + initExit,
		Example: "  agent init master --module www=/www/www --target s1=192.168.1.168 --target s2=192.168.1.169:8730 \\\n" +
			"      --user repl --password-file pass",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.failedInit(config.RoleMaster, o.initOptions, a.initMaster(cmd, o))
		},
	}
	f := cmd.Flags()
	o.flags(f)
	f.StringArrayVar(&o.targets, "target", nil, "a slave, `NAME=HOST[:PORT]`; may be given again")
	return cmd
}

func (a *app) initMaster(cmd *cobra.Command, o masterOptions) error {
	r, err := a.newInit(config.RoleMaster, o.initOptions)
	if err != nil {
		return err
	}
	content, err := r.masterContent(o)
	if err != nil {
		return err
	}
	return r.master(cmd.Context(), content)
}

// master brings the host to what content, an agent.yaml, says.
func (r *initRun) master(ctx context.Context, content []byte) error {
	c, err := config.DecodeMaster(r.wanted.File, content)
	if err != nil {
		return err
	}
	if r.configFile == "" && r.content == nil && len(c.TargetSpecs) == 0 {
		return usage("no slave is named: give --target NAME=HOST")
	}
	if r.wanted.Secret, err = r.secret(c.Auth.PasswordFile); err != nil {
		return err
	}
	if err := c.Validate(r.host(c.Auth.PasswordFile)); err != nil {
		return err
	}
	r.wanted.Content = r.writes(content)
	warnings := r.desired.Warnings
	if r.desired, err = agent.DesiredMaster(r.wanted, c); err != nil {
		return err
	}
	r.desired.Warnings = append(warnings, r.desired.Warnings...)
	if err := r.keepSecret(c.Auth.PasswordFile); err != nil {
		return err
	}
	if r.exact {
		if r.desired.Absent, err = r.staleFiles(c); err != nil {
			return err
		}
	}
	return r.finish(ctx)
}

// masterContent is agent.yaml as it shall be.
func (r *initRun) masterContent(o masterOptions) ([]byte, error) {
	ch := config.MasterChange{User: o.user}
	var old []byte
	var err error
	if r.configFile != "" || r.content != nil {
		if len(o.targets) > 0 {
			return nil, usage("--config says it all: leave out --target, or leave out --config")
		}
		if old, err = r.given(); err != nil || r.dir == "" {
			return old, err
		}
	} else {
		if old, err = r.old(); err != nil {
			return nil, err
		}
		if ch.Modules, err = pairs("module", o.modules); err != nil {
			return nil, err
		}
		if ch.Targets, err = targets(o.targets); err != nil {
			return nil, err
		}
	}
	if r.dir != "" {
		p := r.paths()
		ch.StateDir, ch.Socket, ch.PasswordFile = p.State, p.Socket, p.PasswordFile
	}
	return config.EditMaster(old, ch)
}

func targets(words []string) (map[string]config.HostPort, error) {
	named, err := pairs("target", words)
	if err != nil {
		return nil, err
	}
	list := map[string]config.HostPort{}
	for name, text := range named {
		if list[name], err = config.ParseHostPort(text); err != nil {
			return nil, usage("--target %s: %w", name, err)
		}
	}
	return list, nil
}
