package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"syncagent/agent"
	"syncagent/agent/config"
	"syncagent/agent/doctor"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "look at this host and its slaves, and say what to do",
		Long: "Checks what each role that is configured on this host needs: the system, rsync, files and their modes, disks,\n" +
			"the source directories and the kernel's limits, and whether every slave can be reached, logged in to and made\n" +
			"to delete. It changes nothing, here or there. With --config only the role of that file is checked.\n\n" +
			"Exit status: 0 nothing failed, though there may be warnings; 1 something failed; 2 wrong usage.",
		Example: "  agent doctor\n  agent doctor --output json | jq '.findings[] | select(.level != \"ok\")'",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context()) },
	}
}

func (a *app) doctor(ctx context.Context) error {
	list, err := a.examine(ctx)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("look at this host: %w", err)
	}
	if err := a.showFindings(list); err != nil {
		return fmt.Errorf("write findings: %w", err)
	}
	if doctor.Failed(list) {
		return quiet(exitFailed)
	}
	return nil
}

// examine asks all questions, with a spawner for the runs of rsync.
func (a *app) examine(ctx context.Context) ([]doctor.Finding, error) {
	list, err := asking(ctx, func(opt doctor.Options) []doctor.Finding {
		opt.Holder, opt.Wanted, opt.Out = portHolder, wantedConf, agent.OutOfService
		return append(doctor.Host(ctx, opt), a.examineRoles(ctx, opt)...)
	})
	return distinct(list), err
}

func portHolder(c *config.Receiver) (string, bool) {
	h, taken := agent.PortHolder(c)
	return h.String(), taken
}

// wantedConf is the rsyncd.conf that the receiver would write.
func wantedConf(ctx context.Context, c *config.Receiver, root bool) ([]byte, error) {
	want, err := agent.DesiredSlave(ctx, agent.Wanted{Version: version, Root: root}, c)
	if err != nil {
		return nil, err
	}
	for _, f := range want.Files {
		if f.Path == c.ConfFile {
			return f.Content, nil
		}
	}
	return nil, fmt.Errorf("no wanted state for %s", c.ConfFile)
}

// examineRoles looks at the role of the file that was given, or at every role
// whose file is in its usual place.
func (a *app) examineRoles(ctx context.Context, opt doctor.Options) []doctor.Finding {
	if a.configFile != "" {
		data, err := os.ReadFile(a.configFile)
		if err != nil {
			return doctor.Config(a.configFile, err)
		}
		return a.examineRole(ctx, roleOf(a.configFile, data), a.configFile, data, opt)
	}
	var list []doctor.Finding
	absent := 0
	for _, role := range []config.Role{config.RoleMaster, config.RoleSlave} {
		file := a.file(role)
		data, err := os.ReadFile(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			absent++
			list = append(list, doctor.Finding{Level: doctor.OK, Check: "config", Subject: file, Text: fmt.Sprintf("no %s is configured on this host", role)})
		case err != nil:
			list = append(list, doctor.Config(file, err)...)
		default:
			list = append(list, a.examineRole(ctx, role, file, data, opt)...)
		}
	}
	if absent == 2 {
		return []doctor.Finding{{
			Level: doctor.Warn, Check: "config", Subject: filepath.Dir(a.file(config.RoleMaster)),
			Text: "this host is configured neither as master nor as slave", Remedy: "run \"agent init master\" or \"agent init slave\", or name a file with --config",
		}}
	}
	return list
}

// examineRole reads a configuration; what is wrong with it are findings too,
// and what could be read is looked at nevertheless.
func (a *app) examineRole(ctx context.Context, role config.Role, file string, data []byte, opt doctor.Options) []doctor.Finding {
	host := hostOf(file, "")
	host.Files = pathsOnly{host.Files} // files with passwords are findings of their own
	if role == config.RoleSlave {
		c, err := config.DecodeReceiver(file, data)
		if err == nil {
			err = a.override(role, c)
		}
		if err != nil {
			return doctor.Config(file, err)
		}
		return append(doctor.Config(file, c.Validate(host)), doctor.Slave(ctx, c, opt)...)
	}
	c, err := config.DecodeMaster(file, data)
	if err == nil {
		err = a.override(role, c)
	}
	if err != nil {
		return doctor.Config(file, err)
	}
	return append(doctor.Config(file, c.Validate(host)), doctor.Master(ctx, c, opt)...)
}

// pathsOnly resolves paths and looks into no file.
type pathsOnly struct{ config.Files }

// Password implements config.Files.
func (pathsOnly) Password(string) error { return nil }

// Secrets implements config.Files.
func (pathsOnly) Secrets(string, string) error { return nil }

// roleOf tells whose configuration data is: of the role it decodes as, else by
// the file's name.
func roleOf(file string, data []byte) config.Role {
	_, asMaster := config.DecodeMaster(file, data)
	_, asSlave := config.DecodeReceiver(file, data)
	switch {
	case asMaster == nil && asSlave != nil:
		return config.RoleMaster
	case asSlave == nil && asMaster != nil:
		return config.RoleSlave
	case strings.Contains(filepath.Base(file), "receiver"):
		return config.RoleSlave
	}
	return config.RoleMaster
}

// distinct leaves out what both roles found.
func distinct(list []doctor.Finding) []doctor.Finding {
	seen := map[doctor.Finding]bool{}
	kept := []doctor.Finding{}
	for _, f := range list {
		if !seen[f] {
			seen[f] = true
			kept = append(kept, f)
		}
	}
	return kept
}

func (a *app) showFindings(list []doctor.Finding) error {
	if a.output == "json" {
		return json.NewEncoder(a.out).Encode(struct {
			Findings []doctor.Finding `json:"findings"`
			OK       bool             `json:"ok"`
		}{list, !doctor.Failed(list)})
	}
	_, err := io.WriteString(a.out, findingsText(list, a.color(a.out)))
	return err
}

// findingsText is a line a finding, with the remedy below it, and a sum.
func findingsText(list []doctor.Finding, color bool) string {
	var b strings.Builder
	const widest = 32 // a long path moves its own line alone
	check, subject := 0, 0
	count := map[doctor.Level]int{}
	for _, f := range list {
		check, subject = max(check, utf8.RuneCountInString(f.Check)), max(subject, min(widest, utf8.RuneCountInString(f.Subject)))
		count[f.Level]++
	}
	for _, f := range list {
		fmt.Fprintf(&b, "%s  %-*s  %-*s  %s\n", levelText(f.Level, color), check, f.Check, subject, f.Subject, f.Text)
		if f.Remedy != "" {
			fmt.Fprintf(&b, "      -> %s\n", f.Remedy)
		}
	}
	fmt.Fprintf(&b, "%d ok, %d warn, %d fail\n", count[doctor.OK], count[doctor.Warn], count[doctor.Fail])
	return b.String()
}

func levelText(l doctor.Level, color bool) string {
	text := fmt.Sprintf("%-4s", l)
	if !color {
		return text
	}
	code := map[doctor.Level]string{doctor.OK: "32", doctor.Warn: "33", doctor.Fail: "31"}[l]
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
