package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"syncagent/agent/proc"
)

const (
	user   = "repl"
	module = "bench"

	launchPoll = 2 * time.Millisecond
	launchTime = 30 * time.Second
	// stopTime is more than the ten seconds in which agent promises to end.
	stopTime = 12 * time.Second
)

// slave is one of a rig's receiving ends.
type slave struct {
	host string // a loopback address of its own
	port string
	tree string // the module's directory
	dir  string // for its daemon's files
}

// url is where rsync sends to.
func (s slave) url() string { return fmt.Sprintf("rsync://%s@%s:%s/%s/", user, s.host, s.port, module) }

// rig is a source, slaves and the processes between them, for one measurement.
type rig struct {
	env      *environment
	bound    time.Duration // what is not equal by then never is
	dir      string
	source   string
	slaves   []slave
	pass     string // file with the password
	children []*proc.Child
	master   *proc.Child // the process that watches, nil when there is none
	loops    []func()    // end what runs in this process
	unmount  func()
}

// newRig makes the directories; nothing runs yet.
func newRig(env *environment, slaves int) (*rig, error) {
	dir, err := os.MkdirTemp(env.dir, "rig-")
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	r := &rig{env: env, bound: env.opt.bound, dir: dir, source: filepath.Join(dir, "source"), pass: filepath.Join(dir, "pass"), unmount: func() {}}
	err = errors.Join(os.Chmod(dir, 0o755), os.Mkdir(r.source, 0o755), os.WriteFile(r.pass, []byte(env.password+"\n"), 0o600))
	if isolated() && err == nil {
		r.unmount, err = mountMemory(r.source)
	}
	if err != nil {
		return nil, err
	}
	for i := range slaves {
		s := slave{host: fmt.Sprintf("127.0.0.%d", i+1), dir: filepath.Join(dir, fmt.Sprintf("s%d", i+1))}
		s.tree = filepath.Join(s.dir, "tree")
		if s.port, err = freePort(s.host); err != nil {
			return nil, err
		}
		err = errors.Join(err, os.MkdirAll(s.tree, 0o755))
		r.slaves = append(r.slaves, s)
	}
	return r, err
}

func freePort(host string) (string, error) {
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// trees lists the slaves' module directories.
func (r *rig) trees() []string {
	var list []string
	for _, s := range r.slaves {
		list = append(list, s.tree)
	}
	return list
}

// at is a path in the source.
func (r *rig) at(rel string) string { return filepath.Join(r.source, rel) }

// log is where a process of that name writes.
func (r *rig) log(name string) string { return filepath.Join(r.dir, name+".log") }

// start launches a process that lives until close; what it says goes to its
// log unless cmd has its own writers.
func (r *rig) start(name string, cmd *exec.Cmd) (*proc.Child, error) {
	log, err := os.Create(r.log(name))
	if err != nil {
		return nil, fmt.Errorf("make log: %w", err)
	}
	defer log.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = log
	}
	child, err := r.env.spawner.Start(cmd)
	if err == nil {
		r.children = append(r.children, child)
	}
	return child, err
}

// run waits for a process to end well.
func (r *rig) run(ctx context.Context, cmd *exec.Cmd) error {
	var said strings.Builder
	if cmd.Stdout == nil {
		cmd.Stdout = &said
	}
	cmd.Stderr = &said
	child, err := r.env.spawner.Start(cmd)
	if err != nil {
		return err
	}
	select {
	case <-child.Done():
	case <-ctx.Done():
		_ = child.Stop(stopTime)
		return ctx.Err()
	}
	if err := child.Wait(); err != nil {
		return fmt.Errorf("run %s: %w: %s", strings.Join(cmd.Args, " "), err, said.String())
	}
	return nil
}

// await asks until there is an answer, the child has ended or it took too long.
func (r *rig) await(ctx context.Context, name string, child *proc.Child, there func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, launchTime)
	defer cancel()
	for !there() {
		select {
		case <-child.Done():
			return fmt.Errorf("start %s: it ended: %w: %s", name, child.Wait(), lastLines(r.log(name)))
		default:
		}
		if err := pause(ctx, launchPoll); err != nil {
			return fmt.Errorf("start %s: it is not ready: %w: %s", name, err, lastLines(r.log(name)))
		}
	}
	return nil
}

// said reports whether a log holds the text.
func (r *rig) said(name, text string) bool {
	b, err := os.ReadFile(r.log(name))
	return err == nil && strings.Contains(string(b), text)
}

func lastLines(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// settle returns the moment since when the slaves equal the source, or an
// error that wraps errNever. What was renamed or removed is named, since its
// end is the last thing to wait for.
func (r *rig) settle(ctx context.Context, gone ...string) (time.Time, error) {
	limited, cancel := context.WithTimeout(ctx, r.bound)
	defer cancel()
	end, err := awaitEqual(limited, r.source, r.trees(), gone)
	if ctx.Err() != nil {
		return end, ctx.Err()
	}
	return end, err
}

// background runs a loop of our own until halt, or until end is called, which
// may be done more than once.
func (r *rig) background(ctx context.Context, loop func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		loop(ctx)
	}()
	end = func() { cancel(); <-ended }
	r.loops = append(r.loops, end)
	return end
}

// halt ends the master, the loops that depend on it, then the other processes,
// the youngest first.
func (r *rig) halt() {
	if r.master != nil {
		_ = r.master.Stop(stopTime)
	}
	for _, end := range r.loops {
		end()
	}
	r.loops = nil
	for len(r.children) > 0 {
		last := len(r.children) - 1
		_ = r.children[last].Stop(stopTime)
		r.children = r.children[:last]
	}
}

// close ends everything and removes it.
func (r *rig) close() {
	r.halt()
	r.unmount()
	_ = os.RemoveAll(r.dir)
}
