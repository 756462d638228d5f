package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/journal"
	"syncagent/agent/proc"
	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// Master is the running master: every module's source and every replica.
type Master struct {
	version     string
	rsync       string // the rsync binary
	machineFile string // names the host
	machine     string // so guards know it; set by with
	log         *slog.Logger
	crew        *crew
	after       *crew         // hooks, which end after all that pushes
	started     chan struct{} // closed when every module was started
	ready       chan struct{}

	store   *journal.Store
	spawner *proc.Spawner
	places  *rsync.Slots // one a sweep that may run at once
	slots   *rsync.Slots // of sweeps, bulk runs and connections that wait
	targets atomic.Int64 // replicas that run

	mu      sync.Mutex
	config  *config.Master
	sources []*Source
	onState []*stateHook

	stateWake chan struct{} // onState is another list
}

// MasterConfig is what a Master is made of.
type MasterConfig struct {
	Config  *config.Master
	Version string
	Rsync   string // the rsync binary, "" finds it
	Machine string // the file that names the host, "" is machine-id(5)'s
	Log     *slog.Logger
}

// NewMaster returns a master that does nothing until Run.
func NewMaster(c MasterConfig) *Master {
	return &Master{
		version: c.Version, rsync: c.Rsync, machineFile: cmp.Or(c.Machine, machineIDFile), log: c.Log, config: c.Config,
		crew: newCrew(), after: newCrew(), started: make(chan struct{}), ready: make(chan struct{}),
		stateWake: make(chan struct{}, 1),
	}
}

// Ready is closed when every module watches or says why it is blocked.
func (m *Master) Ready() <-chan struct{} { return m.ready }

// Run replicates until ctx ends, then returns what is in flight to the journal
// and ends all children. It fails when its state or its socket cannot be had.
func (m *Master) Run(ctx context.Context) error {
	listener, err := status.Listen(m.config.Socket)
	if err != nil {
		return err
	}
	defer listener.Close()
	modules, err := m.config.Modules()
	if err != nil {
		return err
	}
	return m.with(ctx, func(ctx context.Context) error {
		m.crew.start(ctx, "socket", func(ctx context.Context) error { return status.Serve(ctx, listener, m) })
		m.setListen(ctx, m.config.Listen)
		m.setStateHooks(ctx, m.config.OnState)
		for _, mod := range modules {
			m.startModule(ctx, mod, false)
		}
		close(m.started)
		m.crew.start(ctx, "ready", m.awaitReady)
		m.crew.start(ctx, "on_state", m.watchStates)
		defer m.lastLook()
		select {
		case <-ctx.Done():
			return nil
		case err := <-m.crew.errs:
			return err
		}
	})
}

// with holds the state's lock and the spawner while work runs, and ends every
// part after it.
func (m *Master) with(ctx context.Context, work func(context.Context) error) (err error) {
	if m.store, err = journal.Open(filepath.Join(m.config.StateDir, "journal")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.store.Close()) }()
	m.machine = machineOf(m.machineFile)
	record := recordFile(m.config.StateDir, "master")
	if n, err := proc.EndLeftovers(record); err != nil {
		return err
	} else if n > 0 {
		m.log.Warn("ended rsync runs that a killed agent left behind", "processes", n)
	}
	m.slots, m.places = rsync.NewSlots(workers(m.config)), rsync.NewSlots(sweepsAtOnce(m.config))
	m.spawner = newSpawner(record, priority(m.config), m.log)
	// Replicas end their runs themselves, so the spawner outlives them.
	return m.spawner.While(ctx, func() error {
		defer m.after.stopAll()
		defer m.crew.stopAll()
		return work(ctx)
	})
}

func (m *Master) awaitReady(ctx context.Context) error {
	for _, s := range m.list() {
		select {
		case <-s.ready:
		case <-ctx.Done():
			return nil
		}
	}
	close(m.ready)
	return nil
}

func (m *Master) list() []*Source {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.sources)
}

// startModule starts a module's source and its replicas. again tells that it ran before,
// so that what changed meanwhile was not seen.
func (m *Master) startModule(ctx context.Context, mod config.Module, again bool) {
	s := newSource(mod, m.store, m.log)
	s.started = again
	s.guard.machine = m.machine
	s.failed = &failedLog{file: filepath.Join(m.config.StateDir, "failed.log")}
	m.startHooks(ctx, s)
	m.startAnnouncer(ctx, s)
	m.mu.Lock()
	m.sources = append(m.sources, s) // whoever asks for status sees it from here on
	m.mu.Unlock()
	for _, t := range mod.Targets {
		m.startReplica(ctx, s, t)
	}
	m.crew.start(ctx, moduleKey(mod.Name), s.Run)
}

func (m *Master) startReplica(ctx context.Context, s *Source, t config.Target) {
	r := m.newReplica(s, t)
	s.attach(r)
	m.targets.Add(1)
	m.crew.start(ctx, replicaKey(s.module.Name, t.Name), r.Run)
}

func (m *Master) newReplica(s *Source, t config.Target) *Replica {
	dest := destOf(t)
	client := rsync.New(rsync.Config{
		Bin: m.rsync, Source: s.module.Path, Dest: dest, Options: optionsOf(s.module, t),
		Spawner: m.spawner, Log: m.log, Slots: m.slots,
	})
	parts := replicaParts{
		Module: s.module, Target: t, Root: s, Store: m.store, Pauses: m.store, Places: m.places, Slots: m.slots, Log: m.log,
		Slave:   client,
		Probe:   func(ctx context.Context) (rsync.Greeting, error) { return rsync.Probe(ctx, dest) },
		Drains:  dest.Draining,
		Void:    m.void,
		Growing: s.growing,
		Count:   s.guard.count,
		Size:    s.guard.size(),
		Sees:    s.sees,
		Spread:  m.spread,
		Until:   s.seenUntil,
		Pushed:  s.hooks.push,
	}
	if s.module.Warm {
		parts.Warm = client.Warm
	}
	return newReplica(parts)
}

// void opens a directory that holds nothing: against it, everything on a slave
// is extra.
func (m *Master) void() (*os.File, error) {
	m.mu.Lock()
	dir := filepath.Join(m.config.StateDir, "void")
	m.mu.Unlock()
	if err := os.Mkdir(dir, 0o500); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("make empty directory: %w", err)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open empty directory: %w", err)
	}
	return f, nil
}

func (m *Master) stopReplica(s *Source, t config.Target) {
	s.detach(t.Name)
	m.targets.Add(-1)
	m.crew.stop(replicaKey(s.module.Name, t.Name))
}

func (m *Master) stopModule(s *Source) {
	m.crew.stop(moduleKey(s.module.Name))
	for _, t := range s.module.Targets {
		m.stopReplica(s, t)
	}
	m.crew.stop(announcerKey(s.module.Name))
	m.after.stop(moduleKey(s.module.Name))
	m.mu.Lock()
	m.sources = slices.DeleteFunc(m.sources, func(o *Source) bool { return o == s })
	m.mu.Unlock()
}

func moduleKey(module string) string          { return "module " + module }
func replicaKey(module, target string) string { return "replica " + module + " " + target }

func destOf(t config.Target) rsync.Dest {
	if s := t.SSH; s != nil {
		return rsync.Dest{Host: t.Host, Dir: t.Dir, SSH: &rsync.SSH{User: s.User, Port: s.Port, KeyFile: s.KeyFile, KnownHosts: s.KnownHosts, Options: s.Options}}
	}
	return rsync.Dest{Host: t.Host, Port: t.Port, Module: t.Module, Dir: t.Dir, User: t.Auth.User, PasswordFile: t.Auth.PasswordFile}
}

// optionsOf gives every run the limits of time that a run of its kind must
// keep; see package rsync for why --timeout alone is not one.
func optionsOf(m config.Module, t config.Target) rsync.Options {
	o := m.Rsync
	var excludes func(tree.Path, bool) bool
	if m.Rules.HasRegexps() {
		excludes = m.Rules.Excludes
	}
	return rsync.Options{
		Excludes: excludes, Filter: m.Rules.Args(), Compress: cmp.Or(t.Compress, o.Compress), Bwlimit: t.Bwlimit, Xattrs: o.Xattrs, ACLs: o.ACLs,
		BackupDir: m.BackupDir,
		HardLinks: o.HardLinks, NumericIDs: o.NumericIDs, Extra: append(wireArgs(t.Wire), o.Extra...),
		Timeout: o.Timeout.Std(), ConnectTimeout: 10 * time.Second, Stall: o.Timeout.Std() * 3 / 2,
	}
}

// wireArgs are a target's choices that rsync does not make by itself.
func wireArgs(w config.Wire) []string {
	var args []string
	switch w.WholeFile {
	case "yes":
		args = append(args, "--whole-file")
	case "no":
		args = append(args, "--no-whole-file")
	}
	if w.ChecksumChoice != "" && w.ChecksumChoice != "auto" {
		args = append(args, "--checksum-choice="+w.ChecksumChoice)
	}
	return args
}

// Snapshot tells the state of everything.
func (m *Master) Snapshot() status.Snapshot {
	snap := status.Snapshot{Version: m.version, PID: os.Getpid(), Modules: []status.Module{}}
	for _, h := range m.stateHooks() {
		snap.OnState = append(snap.OnState, hookStatus(h.config, h.Hook))
	}
	for _, s := range m.list() {
		mod := s.Snapshot()
		mod.Hooks = s.hooks.snapshot()
		snap.Modules = append(snap.Modules, mod)
	}
	return snap
}
