package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"syncagent/secrets"
)

// lookupTimeout bounds what a dead name server can cost a check.
const lookupTimeout = 2 * time.Second

// Host is what Validate may ask the machine. A nil *Host, or a nil part of it,
// skips the checks that need it.
type Host struct {
	Net   Net
	Files Files
}

// Net says who this host is and what it serves.
type Net interface {
	// Addresses returns the addresses of the host's interfaces.
	Addresses() ([]netip.Addr, error)
	// Lookup returns the addresses of a host name.
	Lookup(name string) ([]netip.Addr, error)
	// Receiver returns the host's own receiver configuration, nil when there
	// is none.
	Receiver() (*Receiver, error)
}

// Files looks at files that a configuration names.
type Files interface {
	// Resolve returns path without symlinks, as far as it exists.
	Resolve(path string) string
	// Password checks a client password file.
	Password(path string) error
	// Secrets checks a daemon's secrets file for a user.
	Secrets(path, user string) error
}

// LocalHost asks this machine. The receiver file is the one to look into for
// loops, DefaultPaths(RoleSlave, "").Config unless there is another.
func LocalHost(receiverFile string) *Host {
	return &Host{Net: localNet{receiverFile}, Files: localFiles{}}
}

type localNet struct{ receiverFile string }

func (localNet) Addresses() ([]netip.Addr, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var list []netip.Addr
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, prefix.Addr().Unmap())
		}
	}
	return list, nil
}

func (localNet) Lookup(name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
}

func (n localNet) Receiver() (*Receiver, error) {
	if _, err := os.Stat(n.receiverFile); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return ReadReceiver(n.receiverFile)
}

type localFiles struct{}

// Resolve resolves the deepest part that exists: a module's directory may
// still have to be made.
func (localFiles) Resolve(path string) string {
	for at, rest := path, ""; ; {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(real, rest)
		}
		if at == "/" || at == "." {
			return path
		}
		at, rest = filepath.Dir(at), filepath.Join(filepath.Base(at), rest)
	}
}

func (localFiles) Password(path string) error {
	_, err := secrets.LoadFile(path)
	return err
}

func (localFiles) Secrets(path, user string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("secrets file %s is missing: run agent init slave with --password-file", path)
	}
	if err := secrets.CheckMode(path); err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read secrets file: %w", err)
	}
	users, err := secrets.ParseServer(data)
	if err != nil {
		return fmt.Errorf("secrets file %s: %w", path, err)
	}
	for _, u := range users {
		if u.Name == user {
			return nil
		}
	}
	return fmt.Errorf("secrets file %s has no line for user %s: add one, or run agent init slave again", path, user)
}
