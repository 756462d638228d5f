package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"syncagent/agent/config"
	"syncagent/agent/sersync"
)

// instanceDir is where an instance that runs from sersync's files keeps all that
// is its own: the same files, in whatever order, are the same instance.
//
// With -m it is another one: both may run at a time.
func (a *app) instanceDir(files []string, opt sersync.Options) (string, error) {
	abs := make([]string, len(files))
	for i, f := range files {
		var err error
		if abs[i], err = filepath.Abs(f); err != nil {
			return "", fmt.Errorf("find %s: %w", f, err)
		}
	}
	slices.Sort(abs)
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(abs), "\x00")))
	base := config.DefaultPaths(config.RoleMaster, "").State
	if a.env.IsSet("state_dir") {
		base = a.env.GetString("state_dir")
	}
	name := "sersync-" + hex.EncodeToString(sum[:6])
	if opt.Plugin != "" {
		name += "-" + opt.Plugin
	}
	return filepath.Join(base, name), nil
}

// sersyncMaster is the configuration that sersync's files come to, with state
// and socket in the instance's directory. What it reads is also written there as
// an agent.yaml, by which the other commands find the instance.
func (a *app) sersyncMaster(files []string, opt sersync.Options, log *slog.Logger) (*config.Master, error) {
	dir, err := a.instanceDir(files, opt)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "agent.yaml")
	c, text, imported, err := readSersync(file, files, opt)
	if err != nil {
		return nil, err
	}
	if err := a.overrideBut(c, "state_dir"); err != nil {
		return nil, err
	}
	if err := c.Validate(hostOf(file, "")); err != nil {
		return nil, imported.Place(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the instance's directory: %w", err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return nil, fmt.Errorf("write the instance's configuration: %w", err)
	}
	logFindings(log, imported.Findings)
	log.Info("running from sersync's configuration", "files", strings.Join(files, " "), "commands", "agent status -c "+file)
	return c, nil
}

// readSersync reads sersync's files by way of the text that stands in file, so
// that what runs is what that says, and nothing else but passwords.
func readSersync(file string, files []string, opt sersync.Options) (*config.Master, []byte, sersync.Import, error) {
	in, err := sersync.ReadFiles(files, opt)
	if err != nil {
		return nil, nil, in, err
	}
	m := in.Master
	m.StateDir, m.Socket = filepath.Dir(file), filepath.Join(filepath.Dir(file), "agent.sock")
	text, err := m.Encode()
	if err != nil {
		return nil, nil, in, err
	}
	c, err := config.DecodeMaster(file, text)
	if err != nil {
		return nil, nil, in, in.Place(err)
	}
	keepSecrets(c, m)
	return c, text, in, nil
}

// keepSecrets gives the hooks the passwords that no file of ours holds. What the
// environment has goes before them.
func keepSecrets(to, from *config.Master) {
	for i, m := range from.ModuleSpecs {
		for j, h := range m.Hooks {
			if os.Getenv(h.SecretEnv) == "" {
				to.ModuleSpecs[i].Hooks[j].Secret = h.Secret
			}
		}
	}
}

// overrideBut lets the environment speak over the file, but for one key.
func (a *app) overrideBut(c *config.Master, but string) error {
	kept := map[string]string{}
	for _, k := range config.Keys(config.RoleMaster) {
		if k.Name == but && a.env.IsSet(k.Name) {
			kept[but] = c.StateDir
		}
	}
	if err := a.override(config.RoleMaster, c); err != nil {
		return err
	}
	for key, value := range kept {
		if err := c.Set(key, value); err != nil {
			return err
		}
	}
	return nil
}

func logFindings(log *slog.Logger, findings []sersync.Finding) {
	for _, f := range findings {
		tell := log.Debug
		switch f.Kind {
		case sersync.Changed:
			tell = log.Info
		case sersync.Warning:
			tell = log.Warn
		}
		tell("sersync's configuration", "file", f.File, "line", f.Line, "what", f.What, "becomes", f.Becomes, "why", f.Why)
	}
}

func (a *app) importCommand() *cobra.Command {
	var opt sersync.Options
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "turn sersync's confxml.xml files into one agent.yaml",
		Long: "Prints the configuration that the files come to, merged, and on standard error, line by line, what means\n" +
			"something else than it did and why. With --output json both stand in one object. Nothing is changed.\n\n" +
			"Exit status: 0 done; 1 a file cannot be read; 2 a file cannot be taken.",
		Example: "  agent config import /usr/local/sersync/conf/*.xml > /etc/syncagent/agent.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(_ *cobra.Command, files []string) error { return a.importSersync(files, opt) },
	}
	pluginFlag(cmd, &opt)
	return cmd
}

// pluginFlag is sersync's -m.
func pluginFlag(cmd *cobra.Command, opt *sersync.Options) {
	cmd.Flags().StringVarP(&opt.Plugin, "plugin", "m", "", "of sersync's files run this `PLUGIN` alone and send nothing: command, socket, http or refreshCDN")
}

func checkPlugin(opt sersync.Options) error {
	if opt.Plugin == "" || slices.Contains(sersync.Plugins(), opt.Plugin) {
		return nil
	}
	return usage("there is no plugin %s: write command, socket, http or refreshCDN", opt.Plugin)
}

// imported is what import prints as JSON.
type imported struct {
	SchemaVersion int               `json:"schema_version"`
	Config        string            `json:"config"` // YAML
	Findings      []sersync.Finding `json:"findings"`
}

func (a *app) importSersync(files []string, opt sersync.Options) error {
	if err := checkPlugin(opt); err != nil {
		return err
	}
	in, err := sersync.ReadFiles(files, opt)
	findings := in.Findings
	if err != nil {
		return err
	}
	text, err := in.Master.Encode()
	if err != nil {
		return err
	}
	if a.output == "json" {
		if findings == nil {
			findings = []sersync.Finding{}
		}
		return json.NewEncoder(a.out).Encode(imported{SchemaVersion: 1, Config: string(text), Findings: findings})
	}
	for _, f := range findings {
		fmt.Fprintln(a.err, f)
	}
	_, err = a.out.Write(text)
	return err
}
