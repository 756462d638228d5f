package chaostest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/status"
	"syncagent/rsyncd/rsyncdtest"
)

const (
	launchTime = time.Minute
	// stopTime is what the agent promises, and some for a busy machine.
	stopTime = 20 * time.Second
)

// slave is a host with a receiver.
type slave struct {
	*host
	dir  string // its receiver's files
	tree string
	recv *process
}

// world is a master, its slaves and what happens to them in one case.
type world struct {
	*testing.T
	rand    *rand.Rand
	dir     string
	master  *host
	slaves  []*slave
	volume  string // a file system of its own with source and outside
	source  string // the module's directory
	outside string
	conf    string // agent.yaml
	program string // what is run as master and slaves
	yaml    func() string
	agent   *process
	edits   edits
	truth   truth
	churn   *rsyncdtest.Churn
	leaks   leaks
	hogs    []func()
	cred    *syscall.Credential // who the agent runs as; nil for root
	rec     result
}

// newWorld sets up hosts and directories; the receivers run, the agent does
// not.
func newWorld(t *testing.T, number int, seed uint64, c faultCase) *world {
	t.Helper()
	w := &world{T: t, program: agentBinary(), rand: rand.New(rand.NewPCG(seed, 7)), dir: memory(t)}
	w.leaks = newLeaks(w)
	env := []string{w.leaks.mark()}
	prefix := fmt.Sprintf("w%d", number)
	w.master = newHost(t, prefix+"m", fmt.Sprintf("10.77.%d.1", number))
	w.master.env = env
	w.volume = filepath.Join(w.dir, "volume")
	w.source, w.outside = filepath.Join(w.volume, "source"), filepath.Join(w.volume, "outside")
	w.mountTmpfs(w.volume, "mode=0755")
	w.must(errors.Join(os.Mkdir(w.source, 0o755), os.Mkdir(w.outside, 0o755)))
	w.churn = rsyncdtest.NewChurn(seed, w.source, w.outside)
	w.write(w.pass(), "secret\n")
	w.must(os.Chmod(w.pass(), 0o600))
	for i := range max(1, c.slaves) {
		h := newHost(t, fmt.Sprintf("%ss%d", prefix, i+1), fmt.Sprintf("10.77.%d.%d", number, 11+i))
		h.env = env
		disk := ""
		if i < len(c.disks) {
			disk = c.disks[i]
		}
		w.slaves = append(w.slaves, w.newSlave(h, fmt.Sprintf("s%d", i+1), disk))
	}
	w.configure(c.settings)
	return w
}

func (w *world) pass() string { return filepath.Join(w.dir, "pass") }

func (w *world) newSlave(h *host, name, disk string) *slave {
	w.Helper()
	s := &slave{host: h, dir: filepath.Join(w.dir, name)}
	s.tree = filepath.Join(s.dir, "tree")
	w.must(os.MkdirAll(s.tree, 0o755))
	if disk != "" {
		w.mountTmpfs(s.tree, disk)
	}
	s.init(w)
	return s
}

// init brings the slave's files to what they should be, as its administrator
// would.
func (s *slave) init(w *world, more ...string) {
	w.Helper()
	args := []string{
		agentBinary(), "init", "slave", "--dir", s.dir, "--module", "data=" + s.tree, "--user", "repl",
		"--password-file", w.pass(), "--address", s.addr, "--port", "873", "--allow", w.master.addr,
	}
	s.run(append(args, more...)...)
}

// configure writes the master's configuration and keeps how to write it anew.
func (w *world) configure(settings string) {
	w.Helper()
	w.conf = filepath.Join(w.dir, "master", "agent.yaml")
	w.must(os.MkdirAll(filepath.Dir(w.conf), 0o755))
	w.yaml = func() string {
		var b strings.Builder
		fmt.Fprintf(&b, "state_dir: %s\nsocket: %s\ntargets:\n", w.state(), w.socket())
		for i, s := range w.slaves {
			fmt.Fprintf(&b, "  s%d: {host: %s, port: 873, auth: {user: repl, password_file: %s}}\n", i+1, s.addr, w.pass())
		}
		fmt.Fprintf(&b, "modules:\n  data:\n    path: %s\n    first_sync: mirror\n", w.source)
		if !strings.Contains(settings, "delete_guard:") {
			b.WriteString("    delete_guard: off\n")
		}
		for line := range strings.Lines(settings) {
			b.WriteString("    " + line)
		}
		return b.String()
	}
	w.write(w.conf, w.yaml())
}

func (w *world) state() string  { return filepath.Join(w.dir, "master", "state") }
func (w *world) socket() string { return filepath.Join(w.dir, "agent.sock") }
func (w *world) log() string    { return filepath.Join(w.dir, "agent.log") }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) write(path, text string) {
	w.Helper()
	w.must(os.WriteFile(path, []byte(text), 0o644))
}

// startAgent starts the master and waits until it answers.
func (w *world) startAgent() {
	w.Helper()
	w.launchAgent()
	w.eventually(launchTime, func() error {
		if w.agent.ended(0) {
			w.Fatalf("the agent ended: %v: %s", w.agent.err, tail(w.log()))
		}
		_, err := w.status()
		return err
	})
}

// launchAgent starts the master and waits for nothing.
func (w *world) launchAgent(env ...string) {
	w.Helper()
	cmd := exec.Command(w.program, "run", "-c", w.conf, "--log-level", "debug")
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: w.cred}
	w.agent = w.master.start(w.log(), cmd)
}

// stopAgent tells the master to stop and holds it to what it promises.
func (w *world) stopAgent() {
	w.Helper()
	w.agent.signal(syscall.SIGTERM)
	switch {
	case !w.agent.ended(stopTime):
		w.agent.signal(syscall.SIGQUIT)
		<-w.agent.done
		w.Errorf("the agent did not stop within %v: %s", stopTime, tail(w.log()))
	case w.agent.err != nil:
		w.Errorf("the agent ended with %v: %s", w.agent.err, tail(w.log()))
	}
}

// startReceiver starts a slave's receiver and waits until its daemon serves.
func (s *slave) startReceiver(w *world) {
	w.Helper()
	log := filepath.Join(w.dir, filepath.Base(s.dir)+".log")
	_ = os.Remove(log)
	s.recv = s.start(log, exec.Command(w.program, "receiver", "-c", filepath.Join(s.dir, "receiver.yaml")))
	w.eventually(launchTime, func() error {
		switch {
		case s.recv.ended(0):
			w.Fatalf("receiver of %s ended: %v: %s", s.name, s.recv.err, tail(log))
		case !s.recv.said("msg=ready"):
			return fmt.Errorf("receiver of %s is not ready: %s", s.name, tail(log))
		}
		return nil
	})
}

func (s *slave) stopReceiver(w *world) {
	w.Helper()
	s.recv.signal(syscall.SIGTERM)
	if !s.recv.ended(stopTime) {
		s.recv.kill()
		w.Errorf("receiver of %s did not stop within %v: %s", s.name, stopTime, tail(s.recv.log))
	}
}

// status asks the running agent.
func (w *world) status() (status.Module, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	snap, err := status.NewClient(w.socket()).Status(ctx)
	if err != nil {
		return status.Module{}, err
	}
	if len(snap.Modules) != 1 {
		return status.Module{}, fmt.Errorf("%d modules in status", len(snap.Modules))
	}
	return snap.Modules[0], nil
}

// eventually polls, and shows the agent's last words if it was in vain.
func (w *world) eventually(limit time.Duration, check func() error) {
	w.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("not within %v: %v\nthe agent's last words:\n%s", limit, err, tail(w.log()))
		}
		pause(20 * time.Millisecond)
	}
}

// converge waits until the agent says that all is in sync, and holds it to it.
func (w *world) converge(limit time.Duration) {
	w.Helper()
	edited := time.Now()
	w.eventually(limit, func() error {
		m, err := w.status()
		if err != nil {
			return err
		}
		for _, t := range m.Targets {
			if !claims(t) || t.InSyncAsOf.Before(edited.Truncate(time.Second)) {
				return fmt.Errorf("%s: %s, %d pending, %d failing, in sync as of %s: %s %s",
					t.Name, t.State, t.Pending, t.Failing, t.InSyncAsOf.Format(time.TimeOnly), t.Class, t.LastError)
			}
		}
		return w.equal()
	})
}

// equal compares every slave's tree with the master's.
func (w *world) equal() error {
	for _, s := range w.slaves {
		if err := rsyncdtest.Equal(w.source, s.tree); err != nil {
			return err
		}
	}
	return nil
}

// mountTmpfs mounts memory on a directory, which it makes, until the test ends.
func (w *world) mountTmpfs(dir, options string) {
	w.Helper()
	w.must(errors.Join(os.MkdirAll(dir, 0o755), unix.Mount("chaos", dir, "tmpfs", 0, options)))
	w.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// memory is a scratch directory without a disk behind it, if there is one.
func memory(t testing.TB) string {
	t.Helper()
	base := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		base = "/dev/shm"
	}
	dir, err := os.MkdirTemp(base, "syncagent-chaos-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && os.Getenv("CHAOS_KEEP") != "" {
			t.Logf("kept %s", dir)
			return
		}
		_ = os.RemoveAll(dir)
	})
	return dir
}

// tail returns the last lines of a log.
func tail(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	lines = slices.Clone(lines[max(0, len(lines)-15):])
	for i, line := range lines {
		lines[i] = line[:min(len(line), 300)]
	}
	return strings.Join(lines, "\n")
}

// pause lets things happen: an outage that lasts, edits that do not all fall
// into one batch. Nothing is expected after it.
func pause(d time.Duration) { <-time.After(d) }
