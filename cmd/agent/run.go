package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"syncagent/agent"
	"syncagent/agent/config"
	"syncagent/agent/sersync"
	"syncagent/secrets"
)

// gcPercent lets the master's heap grow to three times what is in use.
const gcPercent = 200

// runOptions are run's own switches; their letters are sersync's.
type runOptions struct {
	sersync    []string // sersync's files, instead of a configuration
	alone      sersync.Options
	sweep      bool // at the start, whatever the configuration says
	background bool
	pidFile    string
	workers    int
}

func (a *app) runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "watch the master's trees and push every change to the slaves",
		Long: "Runs in the foreground until it is told to stop. SIGHUP reads the configuration again and touches only what\n" +
			"changed; SIGTERM keeps what is not confirmed for the next start.\n\n" +
			"Who comes from sersync runs its confxml.xml with sersync's own switches, several of them in one process:\n\n" +
			"  agent run -r -d -o www_confxml.xml -o bbs_confxml.xml -n 10\n\n" +
			"With -m only that plugin runs, for what changes in its directory, and nothing is sent.\n\n" +
			"State, socket and pid file of such an instance stand in a directory of their own, which the log names, with the\n" +
			"configuration that the files came to: -c DIR/agent.yaml leads the other commands there.\n\n" +
			"Exit status: 0 stopped; 1 failed; 2 wrong usage or configuration.",
		Example: "  agent run\n" +
			"  agent run --config /srv/sync/agent.yaml --log-level debug",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runMaster(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.sersync, "sersync", "o", nil, "run from sersync's `FILE`, a confxml.xml, instead of a configuration; can be repeated")
	pluginFlag(cmd, &o.alone)
	f.BoolVarP(&o.sweep, "sweep", "r", false, "compare everything at the start, also where sweep.at_start is false")
	f.BoolVarP(&o.background, "background", "d", false, "return when it is ready, with agent.pid and agent.log in the state directory")
	f.StringVar(&o.pidFile, "pid-file", "", "write the process id to `FILE` when ready")
	f.IntVarP(&o.workers, "workers", "n", 0, "rsync processes at once, instead of what the configuration says")
	return cmd
}

// runConfig reads what run runs from.
func (a *app) runConfig(o runOptions, log *slog.Logger) (*config.Master, error) {
	read := a.master
	if len(o.sersync) > 0 {
		read = func() (*config.Master, error) { return a.sersyncMaster(o.sersync, o.alone, log) }
	}
	c, err := read()
	if err != nil {
		return nil, err
	}
	if o.workers > 0 {
		c.Workers = o.workers
	}
	if o.sweep {
		c.SweepAtStart()
	}
	return c, nil
}

// checkSwitches refuses switches that contradict each other.
func (a *app) checkSwitches(o runOptions) error {
	if len(o.sersync) > 0 && a.configFile != "" {
		return usage("--config and -o exclude each other: what runs comes from one of them")
	}
	if len(o.sersync) == 0 && o.alone.Plugin != "" {
		return usage("-m is about sersync's files: name them with -o; a configuration has targets: [] and hooks for that")
	}
	if o.workers < 0 {
		return usage("-n %d: write how many, or 0 for what the configuration says", o.workers)
	}
	return checkPlugin(o.alone)
}

func (a *app) runMaster(ctx context.Context, o runOptions) error {
	if err := a.checkSwitches(o); err != nil {
		return err
	}
	if sersync.Debug(o.sersync) && a.logLevel == "" {
		a.logLevel = "debug"
	}
	log := a.logger(true)
	if o.background {
		log = a.logger(false) // who stays tells it
	}
	c, err := a.runConfig(o, log)
	if err != nil {
		return err
	}
	bin, err := findRsync()
	if err != nil && !c.OnlyHooks() {
		return err
	}
	if o.background {
		return a.background(ctx, c)
	}
	collectLess()
	m := agent.NewMaster(agent.MasterConfig{Config: c, Version: version, Rsync: bin, Log: log})
	reload := func(ctx context.Context) error {
		next, err := a.runConfig(o, log)
		if err != nil {
			return err
		}
		return m.Reload(ctx, next)
	}
	return withPIDFile(o.pidFile, m.Ready(), func() error { return serve(ctx, log, m, reload) })
}

// collectLess trades a few megabytes for processor time: the heap is small, and its
// collector looks at the stacks of several goroutines for each target whenever it has
// doubled. GOGC in the environment is stronger.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

func (a *app) receiverCommand() *cobra.Command {
	accept := ""
	cmd := &cobra.Command{
		Use:   "receiver",
		Short: "launch and monitor this slave's rsync daemon",
		Long: "Brings the daemon's files to the wanted state, launches the daemon, makes sure that it lets in exactly those\n" +
			"it should, and keeps it running in the foreground. SIGHUP reads the configuration again.\n" +
			"In a container the password may come from SYNCAGENT_PASSWORD; nothing else has to be prepared.\n\n" +
			"A module whose directory is missing or on another file system than before is taken out of service until that is\n" +
			"back. --accept MODULE starts nothing: it has the running receiver, or the next one, take the directory as it is.\n\n" +
			"Exit status: 0 stopped; 1 failed; 2 wrong usage or configuration.",
		Example: "  agent receiver\n  SYNCAGENT_PASSWORD=... agent receiver --config /etc/receiver.yaml     # in a container",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if accept != "" {
				return a.acceptRoot(accept)
			}
			return a.runReceiver(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&accept, "accept", "", "serve `MODULE` with the directory that stands there now, and exit")
	return cmd
}

func (a *app) acceptRoot(module string) error {
	c, err := a.receiver(secrets.Secret{})
	if err != nil {
		return err
	}
	said, err := agent.AcceptRoot(c, module)
	if err == nil {
		fmt.Fprintln(a.out, said)
	}
	return err
}

func (a *app) runReceiver(ctx context.Context) error {
	password, err := receiverPassword()
	if err != nil {
		return asUsage(err)
	}
	c, err := a.receiver(password)
	if err != nil {
		return err
	}
	bin, err := findRsync()
	if err != nil {
		return err
	}
	log := a.logger(true)
	want := agent.Wanted{Version: version, File: a.file(config.RoleSlave), Secret: password, Rsync: bin, Root: os.Geteuid() == 0}
	r := agent.NewReceiver(want, c, log)
	reload := func(ctx context.Context) error {
		next, err := a.receiver(password)
		if err != nil {
			return err
		}
		return r.Reload(ctx, next)
	}
	return serve(ctx, log, r, reload)
}

// receiverPassword is what the environment gives, if anything.
func receiverPassword() (secrets.Secret, error) {
	if os.Getenv("SYNCAGENT_PASSWORD") == "" {
		return secrets.Secret{}, nil
	}
	return secrets.FromEnv("SYNCAGENT_PASSWORD")
}

func findRsync() (string, error) {
	bin, err := exec.LookPath("rsync")
	if err != nil {
		return "", fmt.Errorf("rsync is not installed: install it, for example \"apt-get install rsync\"")
	}
	return bin, nil
}

// service is one of the two daemons.
type service interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
}

// serve runs a daemon as a service manager expects it: ready when it is, alive
// while it is, reloaded by SIGHUP.
func serve(ctx context.Context, log *slog.Logger, s service, reload func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	beat, stop := heartbeat()
	defer stop()
	ready := s.Ready()
	for {
		select {
		case err := <-done:
			tell(log, daemon.SdNotifyStopping)
			return err
		case <-ready:
			ready = nil
			log.Info("ready")
			tell(log, daemon.SdNotifyReady)
		case <-beat:
			tell(log, daemon.SdNotifyWatchdog)
		case <-hup:
			reloadNow(ctx, log, reload)
		}
	}
}

func reloadNow(ctx context.Context, log *slog.Logger, reload func(context.Context) error) {
	tell(log, daemon.SdNotifyReloading)
	if err := reload(ctx); err != nil {
		for _, line := range lines(err) {
			log.Error("configuration is not taken, the old one stays in force", "error", line)
		}
	} else {
		log.Info("configuration read again")
	}
	tell(log, daemon.SdNotifyReady)
}

// heartbeat ticks as often as the service manager wants to hear from us, never
// when it does not.
func heartbeat() (<-chan time.Time, func()) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return nil, func() {}
	}
	tick := time.NewTicker(every / 2)
	return tick.C, tick.Stop
}

func tell(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("service manager cannot be told", "state", state, "error", err)
	}
}
