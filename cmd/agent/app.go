package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"syncagent/agent/config"
	"syncagent/agent/status"
	"syncagent/secrets"
)

// app is what all commands share.
type app struct {
	streams
	env *viper.Viper // flags, then environment: the file has a strict reader of its own

	configFile string
	output     string
	logLevel   string
	logFormat  string
	noColor    bool
}

func newApp(s streams) *app {
	env := viper.New()
	env.SetEnvPrefix("SYNCAGENT")
	env.SetEnvKeyReplacer(strings.NewReplacer(".", "_", "-", "_"))
	env.AutomaticEnv()
	return &app{streams: s, env: env}
}

// command builds the whole tree of commands.
func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:     "agent",
		Short:   "keep directory trees on many servers identical, in real time",
		Version: versionLine(),
		Long: "agent keeps directory trees on any number of slaves identical to the master's, in real time, over rsync.\n\n" +
			"  on each slave:   agent init slave  --module www=/www/www --user repl --password-file FILE --allow MASTER\n" +
			"  on the master:   agent init master --module www=/www/www --target s1=SLAVE --user repl --password-file FILE",
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: a.prepare,
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(badFlag)
	root.SetVersionTemplate("agent {{.Version}}\n")
	a.globalFlags(root.PersistentFlags())
	root.Flags().BoolP("version", "v", false, "print the version")
	root.AddGroup(&cobra.Group{ID: "setup", Title: "Set up:"}, &cobra.Group{ID: "serve", Title: "Serve:"}, &cobra.Group{ID: "look", Title: "Look and act:"},
		&cobra.Group{ID: "more", Title: "More:"})
	root.AddCommand(a.group("setup", a.initCommand(), a.configCommand(), a.secretsCommand(), a.ansibleModuleCommand(), a.doctorCommand(), a.demoCommand())...)
	root.AddCommand(a.group("serve", a.runCommand(), a.receiverCommand())...)
	root.AddCommand(a.group("look", a.statusCommand(), a.syncCommand(), a.waitCommand(), a.verifyCommand(), a.approveCommand(),
		a.explainCommand(), a.retryCommand(), a.pauseCommand(), a.resumeCommand())...)
	root.AddCommand(a.group("more", a.versionCommand())...)
	root.AddCommand(a.manCommand())
	cobraCommands(root)
	noFreeArguments(root)
	return root
}

// cobraCommands has the commands that cobra brings speak as ours do.
func cobraCommands(root *cobra.Command) {
	root.SetHelpCommandGroupID("more")
	root.SetCompletionCommandGroupID("more")
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Short = "explain a command"
		case "completion":
			c.Short = "print what completes commands and names in bash, zsh or fish"
			for _, shell := range c.Commands() {
				if shell.Name() == "powershell" { // the program runs on Linux alone
					c.RemoveCommand(shell)
				}
			}
			c.Example = "  source <(agent completion bash)                                  # in this shell\n" +
				"  agent completion bash > /etc/bash_completion.d/agent             # in every one, with bash-completion\n" +
				"  agent completion zsh > /usr/local/share/zsh/site-functions/_agent"
		}
	}
}

func (a *app) group(id string, cmds ...*cobra.Command) []*cobra.Command {
	for _, c := range cmds {
		c.GroupID = id
	}
	return cmds
}

func (a *app) globalFlags(f *pflag.FlagSet) {
	f.StringVarP(&a.configFile, "config", "c", "", "configuration `FILE` (YAML; TOML and JSON by file ending)")
	f.StringVar(&a.output, "output", "text", "form of results on standard output: text or json")
	f.StringVar(&a.logLevel, "log-level", "", "least level that is logged: debug, info, warn or error")
	f.StringVar(&a.logFormat, "log-format", "text", "form of the log on standard error: text or json")
	f.BoolVar(&a.noColor, "no-color", false, "no colour, also on a terminal")
}

// prepare fills every flag that was not given from the environment, and checks
// the global ones.
func (a *app) prepare(cmd *cobra.Command, _ []string) error {
	if err := a.fromEnvironment(cmd.Flags()); err != nil {
		return err
	}
	if a.output != "text" && a.output != "json" {
		return usage("--output %q: write text or json", a.output)
	}
	if a.logFormat != "text" && a.logFormat != "json" {
		return usage("--log-format %q: write text or json", a.logFormat)
	}
	return a.checkLevel()
}

func (a *app) checkLevel() error {
	var level slog.Level
	if a.logLevel != "" && level.UnmarshalText([]byte(a.logLevel)) != nil {
		return usage("--log-level %q: write debug, info, warn or error", a.logLevel)
	}
	return nil
}

func (a *app) fromEnvironment(flags *pflag.FlagSet) error {
	var bad error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || !a.env.IsSet(f.Name) || f.Name == "help" || f.Name == "version" {
			return
		}
		values := []string{a.env.GetString(f.Name)}
		if f.Value.Type() == "stringArray" {
			values = strings.Split(values[0], ",")
		}
		for _, v := range values {
			if err := flags.Set(f.Name, v); err != nil {
				bad = usage("SYNCAGENT_%s=%q: %w", strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")), v, err)
			}
		}
	})
	return bad
}

// settable is a configuration whose keys can come from elsewhere than its file.
type settable interface {
	Set(key, value string) error
}

// override lets the environment speak over the file.
func (a *app) override(role config.Role, c settable) error {
	for _, k := range config.Keys(role) {
		if !a.env.IsSet(k.Name) {
			continue
		}
		if err := c.Set(k.Name, a.env.GetString(k.Name)); err != nil {
			return fmt.Errorf("%s: %w", k.Env(), err)
		}
	}
	return nil
}

// file returns the configuration file of a role: as given, but absolute since it
// is named in units and messages, or its usual place.
func (a *app) file(role config.Role) string {
	if a.configFile != "" {
		if abs, err := filepath.Abs(a.configFile); err == nil {
			return abs
		}
		return a.configFile
	}
	return config.DefaultPaths(role, "").Config
}

// readMaster reads the master's configuration. On a slave the error says that it
// is one, rather than that a file is to be written.
func (a *app) readMaster() (*config.Master, error) {
	file := a.file(config.RoleMaster)
	c, err := config.ReadMaster(file)
	slaves := filepath.Join(filepath.Dir(file), filepath.Base(config.DefaultPaths(config.RoleSlave, "").Config))
	if err == nil || !exists(slaves) || exists(file) && file != slaves {
		return c, err
	}
	return nil, usage("%s makes this host a slave: ask on the master, or ask \"agent doctor\" about this host", slaves)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// master reads the master's configuration, with the environment over it, and
// checks it against this host.
func (a *app) master() (*config.Master, error) {
	c, err := a.readMaster()
	if err != nil {
		return nil, err
	}
	if err := a.override(config.RoleMaster, c); err != nil {
		return nil, err
	}
	return c, c.Validate(hostOf(a.file(config.RoleMaster), ""))
}

// receiver reads the slave's configuration. A secrets file that the given
// password is about to fill may be missing.
func (a *app) receiver(password secrets.Secret) (*config.Receiver, error) {
	c, err := config.ReadReceiver(a.file(config.RoleSlave))
	if err != nil {
		return nil, err
	}
	if err := a.override(config.RoleSlave, c); err != nil {
		return nil, err
	}
	writing := ""
	if !password.Empty() {
		writing = c.Auth.SecretsFile
	}
	return c, c.Validate(hostOf(a.file(config.RoleSlave), writing))
}

// checkScope refuses names that the configuration does not have.
func checkScope(c *config.Master, s status.Scope) error {
	modules, err := c.Modules()
	if err != nil {
		return err
	}
	n := configuredNames(modules)
	if err := n.check(s); err != nil {
		return err
	}
	if len(n.targets(s.Module)) == 0 {
		return usage("no module has a target: there is nothing to compare or send")
	}
	return nil
}

// logger writes to standard error. Daemons tell their transitions; other
// commands speak up only when something is wrong.
func (a *app) logger(daemon bool) *slog.Logger {
	level := slog.LevelWarn
	if daemon {
		level = slog.LevelInfo
	}
	if a.logLevel != "" {
		_ = level.UnmarshalText([]byte(a.logLevel)) // checked in prepare
	}
	opts := &slog.HandlerOptions{Level: level}
	if os.Getenv("JOURNAL_STREAM") != "" {
		opts.ReplaceAttr = withoutTime // the journal has its own
	}
	if a.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(a.err, opts))
	}
	return slog.New(slog.NewTextHandler(a.err, opts))
}

func withoutTime(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) == 0 && attr.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return attr
}

// color reports whether w is a terminal that may be coloured.
func (a *app) color(w io.Writer) bool {
	return !a.noColor && os.Getenv("NO_COLOR") == "" && a.terminal(w)
}

// terminal reports whether w is a terminal that takes more than plain text.
func (a *app) terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && isTerminal(f)
}
