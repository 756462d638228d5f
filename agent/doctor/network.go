package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"

	"syncagent/agent/rsync"
	"syncagent/agent/tree"
	"syncagent/agent/watch"
	"syncagent/rsyncd"
	"syncagent/rsyncd/probe"
)

// realNetwork asks with the installed rsync.
type realNetwork struct {
	bin     string
	spawner rsync.Spawner
}

// Greet implements Network.
func (realNetwork) Greet(ctx context.Context, d rsync.Dest) (rsync.Greeting, error) {
	return rsync.Probe(ctx, d)
}

var errNoSpawner = errors.New("cannot start rsync: no spawner was given")

// Login implements Network. The source is an empty directory, so that the path
// is missing for certain and nothing of a real tree is at stake.
func (n realNetwork) Login(ctx context.Context, d rsync.Dest, o rsync.Options) error {
	if n.spawner == nil {
		return errNoSpawner
	}
	name, err := os.MkdirTemp("", "syncagent-doctor-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(name)
	// Some versions refuse only the delete of what lies in a directory.
	parent := "syncagent-doctor-" + rand.Text()
	if err := os.Mkdir(filepath.Join(name, parent), 0o700); err != nil {
		return err
	}
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	client := rsync.New(rsync.Config{Bin: n.bin, Source: name, Dest: d, Options: o, Spawner: n.spawner})
	_, err = client.Victims(ctx, dir, []tree.Path{tree.Path(parent).Join("missing")})
	return err
}

// Source implements Network: connecting a datagram socket only asks the routes.
func (realNetwork) Source(address string) string {
	conn, err := net.Dial("udp", address)
	if err != nil {
		return ""
	}
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		return ""
	}
	return host
}

// realDaemon asks the parser of the given rsync.
type realDaemon struct{ bin string }

// Check implements Daemon.
func (d realDaemon) Check(ctx context.Context, conf []byte) error {
	return probe.Check(ctx, d.bin, conf)
}

// Guarded implements Daemon.
func (d realDaemon) Guarded(ctx context.Context, confFile string, m rsyncd.Module, user, password string) error {
	return probe.Guarded(ctx, d.bin, confFile, m, user, password)
}

// realInotify asks this kernel.
type realInotify struct{}

// CheckLimit implements Inotify.
func (realInotify) CheckLimit(root string, excludes func(p tree.Path, dir bool) bool) (watch.Need, error) {
	return watch.CheckLimit(root, excludes)
}
