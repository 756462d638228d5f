package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"syncagent/agent"
	"syncagent/agent/config"
	"syncagent/secrets"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "check the configuration, show what is in force, or import another",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("say what: agent config validate, agent config show, or agent config import")
		},
	}
	cmd.AddCommand(a.importCommand(), &cobra.Command{
		Use:   "validate",
		Short: "name every mistake of the configuration with its line",
		Long:  "Checks the file and what it names on this host; nothing is changed.\n\nExit status: 0 valid; 2 not.",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return a.validateConfig() },
	}, &cobra.Command{
		Use:   "show",
		Short: "show the configuration in force, with defaults and environment",
		Long:  "Prints YAML that means the same as the file and the environment together.\n\nExit status: 0 valid; 2 not.",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return a.showConfig() },
	})
	return cmd
}

// encoder is a configuration of either role.
type encoder interface {
	Encode() ([]byte, error)
}

// either reads the file as the role it is for: told by its name, which is fixed
// for a host's own files.
func (a *app) either() (encoder, error) {
	slaves := filepath.Base(a.configFile) == "receiver.yaml"
	if a.configFile == "" {
		slaves = !exists(a.file(config.RoleMaster)) && exists(a.file(config.RoleSlave))
	}
	if slaves {
		return a.receiver(secrets.Secret{})
	}
	c, err := a.master()
	if err == nil || a.configFile == "" {
		return c, err
	}
	if r, other := config.ReadReceiver(a.configFile); other == nil {
		return r, r.Validate(hostOf(a.configFile, ""))
	}
	return c, err
}

func (a *app) validateConfig() error {
	c, err := a.either()
	if err != nil {
		return err
	}
	if m, ok := c.(*config.Master); ok {
		for _, w := range agent.SourceWarnings(m) {
			fmt.Fprintf(a.err, "warning: %s\n", w)
		}
	}
	fmt.Fprintln(a.out, "valid")
	return nil
}

func (a *app) showConfig() error {
	c, err := a.either()
	if err != nil {
		return err
	}
	text, err := c.Encode()
	if err != nil {
		return err
	}
	_, err = a.out.Write(text)
	return err
}
