package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"syncagent/agent/config"
)

// noFreeArguments makes a stray word an error of usage, with its own code.
func noFreeArguments(cmd *cobra.Command) {
	if args := cmd.Args; args != nil {
		cmd.Args = func(c *cobra.Command, words []string) error {
			if err := args(c, words); err != nil {
				return usage("%w: %s", strayWords(c, words, err), helpOn(c, words))
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		noFreeArguments(sub)
	}
}

// strayWords says what is wrong with the words after a command; cobra calls each
// of them an unknown command, or counts them.
func strayWords(c *cobra.Command, words []string, err error) error {
	_, placeholder, takes := strings.Cut(c.Use, " ")
	switch {
	case c.HasAvailableSubCommands() && len(words) > 0:
		return fmt.Errorf("unknown command %q", c.CommandPath()+" "+words[0])
	case takes && len(words) == 0:
		return fmt.Errorf("%s is missing: write \"%s %s\"", placeholder, c.CommandPath(), placeholder)
	case takes:
		return fmt.Errorf("%q is one word too many: write \"%s %s\"", words[len(words)-1], c.CommandPath(), placeholder)
	case len(words) > 0:
		return fmt.Errorf("\"%s\" takes no %q", c.CommandPath(), words[0])
	}
	return err
}

// helpOn ends an error of usage: with the command that was meant, if one is near
// to the word, and with where help is.
func helpOn(c *cobra.Command, words []string) string {
	see := fmt.Sprintf("see \"%s --help\"", c.CommandPath())
	if len(words) > 0 && c.HasAvailableSubCommands() {
		return nearest(words[0], subcommands(c)) + see
	}
	return see
}

// nearest asks whether one of the known words was meant.
func nearest(word string, known []string) string {
	if hint := config.Suggest(word, known); strings.HasSuffix(hint, "?") {
		return hint + " "
	}
	return ""
}

func subcommands(c *cobra.Command) []string {
	var list []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			list = append(list, sub.Name())
		}
	}
	return list
}

// badFlag is the error of usage for a flag that is not known or cannot be read.
func badFlag(cmd *cobra.Command, err error) error {
	meant := ""
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && len(unknown.GetSpecifiedName()) > 1 {
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
		meant = nearest("--"+unknown.GetSpecifiedName(), known)
	}
	return usage("%w: %ssee \"%s --help\"", err, meant, cmd.CommandPath())
}
