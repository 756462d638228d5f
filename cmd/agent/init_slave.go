package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"syncagent/agent"
	"syncagent/agent/config"
	"syncagent/agent/provision"
)

type slaveOptions struct {
	initOptions
	allow   []string
	owner   string
	group   string
	address string
	port    int
	remove  []string
}

func (a *app) initSlaveCommand() *cobra.Command {
	var o slaveOptions
	cmd := &cobra.Command{
		Use:   "slave",
		Short: "make this host receive trees from a master",
		Long: "Writes the configuration of the rsync daemon, its secrets file and the directories, and has it started and\n" +
			"started at boot. Calling it again changes nothing; calling it with another module adds that one.\n" + initExit,
		Example: "  agent init slave --module www=/www/www --user repl --password-file pass --allow 192.168.1.167",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.failedInit(config.RoleSlave, o.initOptions, a.initSlave(cmd, o))
		},
	}
	f := cmd.Flags()
	o.flags(f)
	f.StringArrayVar(&o.allow, "allow", nil, "`ADDRESS` or network of a master that may push; may be given again")
	f.StringVar(&o.owner, "owner", "", "`USER` that owns a module directory when it is created")
	f.StringVar(&o.group, "group", "", "`GROUP` of a module directory when it is created")
	f.StringVar(&o.address, "address", "", "`ADDRESS` to listen on (default all)")
	f.IntVar(&o.port, "port", 0, "port to listen on (default 873, 8730 when not root)")
	f.StringArrayVar(&o.remove, "remove", nil, "`NAME` of a module to take out of service; its data stays")
	return cmd
}

func (a *app) initSlave(cmd *cobra.Command, o slaveOptions) error {
	r, err := a.newInit(config.RoleSlave, o.initOptions)
	if err != nil {
		return err
	}
	content, err := r.slaveContent(o)
	if err != nil {
		return err
	}
	return r.slave(cmd.Context(), content)
}

// slave brings the host to what content, a receiver.yaml, says.
func (r *initRun) slave(ctx context.Context, content []byte) error {
	c, err := config.DecodeReceiver(r.wanted.File, content)
	if err != nil {
		return err
	}
	if r.configFile == "" && r.content == nil && len(c.Allow) == 0 {
		return usage("no master may push: give its address, --allow ADDRESS")
	}
	if err := r.logins(c); err != nil {
		return err
	}
	if err := c.Validate(r.host(c.Auth.SecretsFile)); err != nil {
		return err
	}
	if err := r.checkPort(c); err != nil {
		return err
	}
	r.wanted.Content = r.writes(content)
	warnings := r.desired.Warnings
	if r.desired, err = agent.DesiredSlave(ctx, r.wanted, c); err != nil {
		return err
	}
	r.desired.Warnings = append(warnings, r.desired.Warnings...)
	if err := r.keepSecret(c.Auth.SecretsFile); err != nil {
		return err
	}
	return r.finish(ctx)
}

// slaveContent is receiver.yaml as it shall be.
func (r *initRun) slaveContent(o slaveOptions) ([]byte, error) {
	ch := config.ReceiverChange{Remove: o.remove, User: o.user, Address: o.address, Port: o.port, Allow: o.allow}
	var old []byte
	var err error
	if r.configFile != "" || r.content != nil {
		if old, err = r.given(); err != nil || r.dir == "" {
			return old, err
		}
	} else {
		if old, err = r.old(); err != nil {
			return nil, err
		}
		modules, err := pairs("module", o.modules)
		if err != nil {
			return nil, err
		}
		ch.Modules = map[string]config.ReceivedDir{}
		for name, path := range modules {
			ch.Modules[name] = config.ReceivedDir{Path: path, Owner: o.owner, Group: o.group}
		}
	}
	if r.dir != "" {
		p := r.paths()
		ch.StateDir, ch.ConfFile, ch.SecretsFile = p.State, p.RsyncdConf, p.SecretsFile
	}
	if old == nil && ch.Port == 0 && !r.wanted.Root {
		ch.Port = 8730
	}
	return config.EditReceiver(old, ch)
}

// checkPort names who has the port, if it is not our own daemon. Where nothing
// is started now it is only said.
func (r *initRun) checkPort(c *config.Receiver) error {
	if r.root != "" {
		return nil
	}
	h, taken := agent.PortHolder(c)
	if !taken {
		return nil
	}
	msg := fmt.Sprintf("port %d is already served by %s", c.Port, h)
	hint := "end it, or choose another --port"
	if h.Unit != "" {
		hint = "\"systemctl disable --now " + h.Unit + "\", or choose another --port"
	}
	if r.check || r.service == "none" {
		r.desired.Warnings = append(r.desired.Warnings, msg+": "+hint)
		return nil
	}
	return &provision.Problem{Code: "port", Message: msg, Hint: hint}
}
