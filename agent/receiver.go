package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/config"
	"syncagent/agent/proc"
	"syncagent/agent/provision"
	"syncagent/agent/rsync"
	"syncagent/rsyncd/probe"
	"syncagent/rsyncd/supervise"
	"syncagent/secrets"
)

// Receiver is the running slave: it writes the daemon's files, launches the
// daemon, and keeps it running and honest.
type Receiver struct {
	want  Wanted
	log   *slog.Logger
	ready chan struct{}
	once  sync.Once

	pace    pace
	custody *custody

	applying sync.Mutex // one change at a time
	mu       sync.Mutex
	config   *config.Receiver
	daemon   *supervise.Supervisor
}

// NewReceiver returns a receiver that does nothing until Run.
func NewReceiver(w Wanted, c *config.Receiver, log *slog.Logger) *Receiver {
	w.Content = nil // the configuration file is read here, never written
	w.Units = false
	return &Receiver{want: w, config: c, log: log, ready: make(chan struct{}), pace: usualPace(), custody: newCustody(log)}
}

// Ready is closed when the daemon answers and has been found to let in exactly
// those it should.
func (r *Receiver) Ready() <-chan struct{} { return r.ready }

// Run serves until ctx ends and the daemon is gone. It fails when the files
// cannot be brought to the wanted state or the port is another's.
func (r *Receiver) Run(ctx context.Context) error {
	c := r.config
	if err := os.MkdirAll(c.StateDir, 0o755); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	lock, err := lockState(filepath.Join(c.StateDir, "receiver.lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := r.apply(ctx, c); err != nil {
		return err
	}
	record := recordFile(c.StateDir, "receiver")
	if n, err := proc.EndLeftovers(record); err != nil {
		return err
	} else if n > 0 {
		r.log.Warn("ended a daemon that a killed receiver left behind", "processes", n)
	}
	if err := portFree(c); err != nil {
		return err
	}
	s := newSpawner(record, proc.Priority{}, r.log)
	return s.While(ctx, func() error { return r.supervise(ctx, s) })
}

// lockState makes sure that only one receiver uses the state: a second one would
// take the first one's daemon for a leftover.
func lockState(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: another receiver runs on it: stop that one, or give this one a state_dir of its own", name)
	}
	return f, nil
}

// remedy is the problem's own hint, unless the unit is what is in the way: it
// allows no more than the directories it was made for.
func (r *Receiver) remedy(p *provision.Problem) string {
	if p.Code == provision.CodeRights && managed() {
		return fmt.Sprintf("the unit allows only the directories it was made for: run \"agent init slave --config %s\"", r.want.File)
	}
	return p.Hint
}

// managed tells whether a service manager runs this process.
func managed() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

// secretThere makes sure that there will be a secrets file the daemon accepts.
func secretThere(w Wanted, c *config.Receiver) error {
	if !w.Secret.Empty() {
		return nil
	}
	if _, err := os.Stat(c.Auth.SecretsFile); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("secrets file %s is missing: run \"agent init slave\", or give the password in SYNCAGENT_PASSWORD", c.Auth.SecretsFile)
	}
	return secrets.CheckMode(c.Auth.SecretsFile)
}

func (r *Receiver) current() *config.Receiver {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.config
}

func (r *Receiver) command() *exec.Cmd {
	cmd := exec.Command(r.want.Rsync, "--daemon", "--no-detach", "--config="+r.current().ConfFile)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // above all not our password
	return cmd
}

// check asks the daemon for a greeting, and its own parser whether it lets in
// the right password, and neither a wrong one nor a stranger.
func (r *Receiver) check(ctx context.Context) error {
	c := r.current()
	host, port := endpoint(c)
	// A foreign daemon on our port would answer just as well.
	if ours, err := probe.Listens(r.Status().PID, port); err != nil {
		return err
	} else if !ours {
		return fmt.Errorf("the daemon does not listen on port %d", port)
	}
	if _, err := rsync.Probe(ctx, rsync.Dest{Host: host, Port: port}); err != nil {
		return err
	}
	users, err := loginsOf(c)
	if err != nil {
		return err
	}
	for _, m := range daemonConf(r.want.Root, without(c, r.custody.outOfService())).Modules {
		for _, u := range users {
			if err := probe.Guarded(ctx, r.want.Rsync, c.ConfFile, m, u.Name, u.Secret.Reveal()); err != nil {
				return err
			}
		}
	}
	return nil
}

// loginsOf are the users who may log in. One of auth.also without a password is
// left out: it is no reason to turn the other one away, and the doctor tells.
func loginsOf(c *config.Receiver) ([]secrets.User, error) {
	data, err := os.ReadFile(c.Auth.SecretsFile)
	if err != nil {
		return nil, fmt.Errorf("read secrets file: %w", err)
	}
	users, err := secrets.ParseServer(data)
	if err != nil {
		return nil, fmt.Errorf("read secrets file %s: %w", c.Auth.SecretsFile, err)
	}
	named := func(name string) bool {
		return slices.ContainsFunc(users, func(u secrets.User) bool { return u.Name == name })
	}
	if !named(c.Auth.User) {
		return nil, fmt.Errorf("secrets file %s has no line for user %s: run \"agent init slave\" with --password-file", c.Auth.SecretsFile, c.Auth.User)
	}
	return slices.DeleteFunc(users, func(u secrets.User) bool { return !slices.Contains(c.Auth.Users(), u.Name) }), nil
}

// Status tells how the daemon is.
func (r *Receiver) Status() supervise.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.daemon == nil {
		return supervise.Status{State: supervise.Starting}
	}
	return r.daemon.Status()
}

const replacedLook = 5 * time.Second

// replaced fails when a module's directory that could be written no longer can.
// The unit makes the directories that stood when it started writable, each by a
// mount: a new one in the place of such a directory is read-only until the
// service manager starts us again. A disk that is read-only indeed is so then,
// too, and ends nobody twice.
func (r *Receiver) replaced(ctx context.Context) error {
	was := map[string]bool{}
	return onChange(ctx, replacedLook, r.pace.rest, func() []string { return modulePaths(r.current()) }, func() error {
		for _, m := range r.current().Modules {
			now, known := writable(m.Path)
			if known && was[m.Path] && !now {
				return fmt.Errorf("directory %s of module %s has become read-only, as one does that takes the place of another: starting again", m.Path, m.Name)
			}
			was[m.Path] = was[m.Path] || now
		}
		return nil
	})
}

// writable tells whether the file system of a directory is mounted so; known is
// false when there is no such directory.
func writable(dir string) (yes, known bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false, false
	}
	return st.Flags&unix.ST_RDONLY == 0, true
}
