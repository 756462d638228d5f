package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"syncagent/agent/proc"
	"syncagent/agent/status"
)

const restPoll = 50 * time.Millisecond

// ours is agent, set up by the commands that a user types.
type ours struct {
	receivers []*proc.Child
	addr      func(i int, s slave) string // where the master reaches a slave, nil for where it is
}

func (o *ours) prepare(ctx context.Context, r *rig) error {
	master := []string{"init", "master"}
	for i, s := range r.slaves {
		name := fmt.Sprintf("s%d", i+1)
		if err := o.init(ctx, r, s.tree, s.dir, "init", "slave", "--allow", "127.0.0.1", "--address", s.host, "--port", s.port); err != nil {
			return err
		}
		if err := o.receive(ctx, r, name, s); err != nil {
			return err
		}
		addr := s.host + ":" + s.port
		if o.addr != nil {
			addr = o.addr(i, s)
		}
		master = append(master, "--target", name+"="+addr)
	}
	return o.init(ctx, r, r.source, masterDir(r), master...)
}

func masterDir(r *rig) string { return filepath.Join(r.dir, "master") }

func (o *ours) init(ctx context.Context, r *rig, tree, dir string, args ...string) error {
	args = append(args, "--module", module+"="+tree, "--user", user, "--password-file", r.pass, "--dir", dir)
	return r.run(ctx, exec.Command(r.env.opt.agent, args...))
}

func (o *ours) receive(ctx context.Context, r *rig, name string, s slave) error {
	cmd := exec.Command(r.env.opt.agent, "receiver", "-c", filepath.Join(s.dir, "receiver.yaml"))
	child, err := r.start(name, cmd)
	if err != nil {
		return err
	}
	o.receivers = append(o.receivers, child)
	return r.await(ctx, name, child, func() bool { return r.said(name, "msg=ready") })
}

// launch starts the agent with its delete guard off: the rows remove whole
// trees on purpose.
func (o *ours) launch(_ context.Context, r *rig) error { return launchAgent(r) }

func launchAgent(r *rig, env ...string) error {
	cmd := exec.Command(r.env.opt.agent, "run", "-c", filepath.Join(masterDir(r), "agent.yaml"))
	cmd.Env = append(append(os.Environ(), "SYNCAGENT_DELETE_GUARD=off"), env...)
	child, err := r.start("agent", cmd)
	r.master = child
	return err
}

// rest waits until every target says that it has nothing to do.
func (o *ours) rest(ctx context.Context, r *rig) error { return agentRests(ctx, r, r.bound) }

func agentRests(ctx context.Context, r *rig, bound time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for {
		snap, err := agentStatus(ctx, r)
		if err == nil && resting(snap) {
			return nil
		}
		if err := pause(ctx, restPoll); err != nil {
			return fmt.Errorf("%w: the agent does not come to rest: %s", errNever, lastLines(r.log("agent")))
		}
	}
}

func agentStatus(ctx context.Context, r *rig) (status.Snapshot, error) {
	return status.NewClient(filepath.Join(masterDir(r), "agent.sock")).Status(ctx)
}

func resting(snap status.Snapshot) bool {
	for _, m := range snap.Modules {
		for _, t := range m.Targets {
			if t.State != status.Idle || t.Sweep.Running || t.Behind() {
				return false
			}
		}
	}
	return len(snap.Modules) > 0
}

// watcher names what the agent notices changes with.
func watcher(snap status.Snapshot) string {
	var list []string
	for _, m := range snap.Modules {
		list = append(list, m.Watcher)
	}
	return strings.Join(list, ", ")
}
