package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.output == "json" {
				return json.NewEncoder(a.out).Encode(map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			_, err := fmt.Fprintf(a.out, "agent %s\n", versionLine())
			return err
		},
	}
}

// versionLine is the version and what the program was built for.
func versionLine() string { return version + " " + runtime.GOOS + "/" + runtime.GOARCH }

// manCommand writes the man pages that packages and "make gen" ship.
func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "write the man pages into DIR",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true
			date := time.Date(2026, time.November, 22, 0, 0, 0, 0, time.UTC) // fixed: pages change when their text does
			return doc.GenManTree(root, &doc.GenManHeader{Section: "8", Date: &date, Source: "syncagent " + version}, args[0])
		},
	}
}
