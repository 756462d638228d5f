package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
	"syncagent/agent/watch"
	"syncagent/rsyncd"
)

// defaultPatience bounds one question to a slave or a file system.
const defaultPatience = 10 * time.Second

// Options say how to ask. The zero Options ask this machine, but can neither log
// in to a slave (Spawner) nor tell who holds a port (Holder) or what rsyncd.conf
// should hold (Wanted).
type Options struct {
	Rsync    string        // the binary; "" looks for rsync in PATH
	Spawner  rsync.Spawner // starts the runs that log in to a slave
	Patience time.Duration // for one question; 0: ten seconds

	// Holder names the process that has the receiver's port, if it is not the
	// receiver's own daemon. Nil: nobody is asked.
	Holder func(c *config.Receiver) (string, bool)
	// Out tells why modules of the receiver are out of service, by name. Nil: nobody
	// is asked.
	Out func(c *config.Receiver) map[string]string
	// Wanted returns the rsyncd.conf that a receiver run by root, or not, makes
	// of c. Nil: the file is not compared.
	Wanted func(ctx context.Context, c *config.Receiver, root bool) ([]byte, error)

	// The machine; nil is the real one.
	System  System
	Network Network
	Daemon  Daemon
	Inotify Inotify
	Files   Files
}

// System is what the host says of itself.
type System interface {
	// About tells what the host is.
	About() (About, error)
	// Rsync finds the installed rsync and its version.
	Rsync(ctx context.Context) (bin, version string, err error)
	// Space tells about the file system that path lies on.
	Space(path string) (Space, error)
}

// About is what a host is.
type About struct {
	OS     string // as it calls itself, e.g. "Debian GNU/Linux 12 (bookworm)"
	Family string // the distribution and those it is like, e.g. "ubuntu debian"
	Kernel string // release, e.g. "6.1.0-28-amd64"
	Arch   string // as Go calls it, e.g. "amd64"
	UID    int    // effective
	Now    time.Time
}

// Network asks a slave's daemon.
type Network interface {
	// Greet reads the daemon's greeting; see rsync.Probe.
	Greet(ctx context.Context, d rsync.Dest) (rsync.Greeting, error)
	// Login has a dry run delete a path that exists on neither side. The error
	// is an *rsync.Error.
	Login(ctx context.Context, d rsync.Dest, o rsync.Options) error
	// Source returns this host's address as the slave at address (host:port)
	// sees it, without sending anything; "" when there is no route.
	Source(address string) string
}

// Daemon asks the installed rsync about a daemon's configuration; see package
// rsyncd/probe.
type Daemon interface {
	Check(ctx context.Context, conf []byte) error
	Guarded(ctx context.Context, confFile string, m rsyncd.Module, user, password string) error
}

// Inotify asks the kernel's limits.
type Inotify interface {
	// CheckLimit is watch.CheckLimit.
	CheckLimit(root string, excludes func(p tree.Path, dir bool) bool) (watch.Need, error)
}

// Files checks files with passwords; config.Files is one.
type Files interface {
	// Password checks a client password file.
	Password(path string) error
	// Secrets checks a daemon's secrets file for a user.
	Secrets(path, user string) error
}

// filled puts the real machine where nothing else was given.
func (o Options) filled() Options {
	if o.Rsync == "" {
		o.Rsync = "rsync"
	}
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	if o.System == nil {
		o.System = localSystem{o.Rsync}
	}
	if o.Network == nil {
		o.Network = realNetwork{bin: o.Rsync, spawner: o.Spawner}
	}
	if o.Daemon == nil {
		o.Daemon = realDaemon{o.Rsync}
	}
	if o.Inotify == nil {
		o.Inotify = realInotify{}
	}
	if o.Files == nil {
		o.Files = config.LocalHost("").Files
	}
	return o
}

// errPatience is why a question was given up.
var errPatience = errors.New("no answer")

// within puts a question that may never be answered, as a dead network mount
// makes it, and gives up after d; 0 waits as long as ctx does. The goroutine of
// an unanswered question stays until the kernel lets it go.
func within[T any](ctx context.Context, d time.Duration, ask func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		v, err := ask()
		answers <- answer{v, err}
	}()
	var late <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		late = timer.C
	}
	var none T
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-late:
		return none, fmt.Errorf("%w within %v", errPatience, d)
	}
}
