package agent

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"syncagent/agent/config"
	"syncagent/agent/proc"
	"syncagent/agent/root"
	"syncagent/agent/rsync"
	"syncagent/agent/status"
	"syncagent/agent/tree"
)

// Verdict is how one module compares on one target.
type Verdict struct {
	Module  string              `json:"module"`
	Target  string              `json:"target"`
	Equal   bool                `json:"equal"`
	Entries int                 `json:"entries"`
	Differ  []status.Difference `json:"differ"`
	Error   string              `json:"error,omitempty"`
}

// Verify compares every target in scope with its source, one after another,
// and changes nothing. With checksum every byte is read.
func Verify(ctx context.Context, c MasterConfig, scope status.Scope, checksum bool, report func(Verdict)) error {
	modules, err := c.Config.Modules()
	if err != nil {
		return err
	}
	s := newSpawner("", priority(c.Config), c.Log)
	return s.While(ctx, func() error {
		some := false
		for _, m := range modules {
			for _, t := range m.Targets {
				if scope.Holds(m.Name, t.Name) {
					some = true
					report(verifyOne(ctx, c, s, m, t, checksum))
				}
			}
		}
		if !some {
			return noTarget(scope)
		}
		return ctx.Err()
	})
}

func noTarget(s status.Scope) error {
	return fmt.Errorf("no target matches module %q and target %q: \"agent config show\" lists them", s.Module, s.Target)
}

func verifyOne(ctx context.Context, c MasterConfig, s *proc.Spawner, m config.Module, t config.Target, checksum bool) Verdict {
	v := Verdict{Module: m.Name, Target: t.Name, Differ: []status.Difference{}}
	d, err := compareOnce(ctx, c, s, m, t, checksum)
	if err != nil {
		v.Error = err.Error()
		return v
	}
	if !m.Delete {
		d.Extras = nil // they may stay
	}
	v.Entries, v.Differ = d.Entries, Differences(d)
	if d.Partial != nil {
		v.Error = d.Partial.Error()
	}
	v.Equal = len(v.Differ) == 0 && v.Error == ""
	return v
}

func compareOnce(ctx context.Context, c MasterConfig, s *proc.Spawner, m config.Module, t config.Target, checksum bool) (rsync.Diff, error) {
	r, err := root.Open(m.Path)
	if err != nil {
		return rsync.Diff{}, err
	}
	defer r.Close()
	client := rsync.New(rsync.Config{Bin: c.Rsync, Source: m.Path, Dest: destOf(t), Options: optionsOf(m, t), Spawner: s, Log: c.Log})
	return client.Compare(ctx, r.Dir(), []tree.Path{tree.Root}, checksum, nil)
}

// newSpawner is what starts the processes of the agent or the receiver.
func newSpawner(record string, p proc.Priority, log *slog.Logger) *proc.Spawner {
	s := proc.NewSpawner(record)
	s.Lower(p)
	s.Log(log)
	return s
}

// SyncAlone is Sync without a running agent: it takes the state's lock, sweeps,
// and ends.
func (m *Master) SyncAlone(ctx context.Context, req status.SyncRequest, tell func(status.SyncUpdate)) error {
	modules, err := m.config.Modules()
	if err != nil {
		return err
	}
	return m.with(ctx, func(ctx context.Context) error {
		for _, mod := range modules {
			if err := m.startUnwatched(ctx, mod, req); err != nil {
				return err
			}
		}
		return m.Sync(ctx, req, tell)
	})
}

// startUnwatched starts the replicas in scope without watching their tree. For a
// dry run they only learn what the journal knows: running, they would send it.
func (m *Master) startUnwatched(ctx context.Context, mod config.Module, req status.SyncRequest) error {
	s := newSource(mod, m.store, m.log)
	s.guard.machine = m.machine
	if err := s.guard.load(); err != nil {
		return err
	}
	m.mu.Lock()
	m.sources = append(m.sources, s)
	m.mu.Unlock()
	m.startHooks(ctx, s)
	for _, t := range mod.Targets {
		switch {
		case !req.Holds(mod.Name, t.Name):
		case req.DryRun:
			r := m.newReplica(s, t)
			r.restore()
			s.attach(r)
		default:
			m.startReplica(ctx, s, t)
		}
	}
	return nil
}

// recordFile notes the children of a role, so that the next start can end what
// a killed one left.
func recordFile(state, role string) string { return filepath.Join(state, role+".children") }
