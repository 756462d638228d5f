package main

import (
	"github.com/spf13/cobra"

	"syncagent/secrets"
)

func (a *app) secretsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secrets",
		Short: "make and change passwords",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("say what: agent secrets generate, or agent secrets rotate")
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "generate",
		Short:   "print a new password of 32 random bytes",
		Long:    "Prints one line, as --password-file reads it.\n\nExit status: 0 done; 1 failed.",
		Example: "  (umask 077; agent secrets generate > pass)",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := secrets.Generate()
			if err != nil {
				return err
			}
			_, err = a.out.Write(secrets.RenderClient(s))
			return err
		},
	})
	cmd.AddCommand(a.rotateCommand())
	return cmd
}
