package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"syncagent/agent/config"
	"syncagent/agent/provision"
	"syncagent/rsyncd"
	"syncagent/rsyncd/probe"
	"syncagent/secrets"
)

// Wanted is what both roles' desired states are made from.
type Wanted struct {
	Version string
	File    string         // of the configuration
	Content []byte         // the configuration as it shall be
	Secret  secrets.Secret // of the login; empty leaves the secret file as it is
	Others  []secrets.User // who may log in besides; counts on a slave, with Secret
	Units   bool           // a service manager shall run it
	Staged  bool           // below another root: nothing of this host counts
	Binary  string         // absolute, for the unit
	Rsync   string         // the rsync binary whose parser checks the result
	Root    bool           // it will run as root
	// Packaged reports whether a package brought the unit of this name; nil for none.
	Packaged func(unit string) bool
	// Out are a slave's modules that are out of service, each with the reason; nil
	// has the state directory asked.
	Out map[string]string
}

// DesiredMaster is the wanted state of a master host.
func DesiredMaster(w Wanted, c *config.Master) (provision.Desired, error) {
	d := w.base("master", c.StateDir)
	if !w.Secret.Empty() {
		d.Files = append(d.Files, provision.File{
			Path: c.Auth.PasswordFile, Content: secrets.RenderClient(w.Secret), Mode: 0o600, Owner: w.owner(), Secret: true,
		})
	}
	if !w.Staged {
		d.Warnings = append(d.Warnings, SourceWarnings(c)...)
	}
	if !w.Units {
		return d, nil
	}
	d.Files = append(d.Files, sysctl())
	u, err := w.unit(MasterUnit, "master.service.tmpl", place{
		anywhere: true, writable: []string{c.StateDir, filepath.Dir(c.Socket)},
	})
	if err != nil {
		return d, err
	}
	d.Files[0].Effect, d.Files[0].Service = provision.Reload, MasterUnit
	d.Units = append(d.Units, u)
	return d, nil
}

// DesiredSlave is the wanted state of a slave host.
func DesiredSlave(ctx context.Context, w Wanted, c *config.Receiver) (provision.Desired, error) {
	d := w.base("slave", c.StateDir)
	out := w.Out
	if out == nil && !w.Staged {
		out = OutOfService(c)
	}
	d.Files = append(d.Files, w.rsyncdConf(ctx, without(c, out)))
	for _, m := range c.Modules {
		if out[m.Name] != "" {
			d.Warnings = append(d.Warnings, fmt.Sprintf("module %s is out of service: %s", m.Name, out[m.Name]))
		}
	}
	if !w.Secret.Empty() {
		users := append([]secrets.User{{Name: c.Auth.User, Secret: w.Secret}}, w.Others...)
		d.Files = append(d.Files, provision.File{
			Path: c.Auth.SecretsFile, Content: secrets.RenderServer(users), Mode: 0o600, Owner: w.owner(), Secret: true,
		})
	}
	writable := []string{c.StateDir, filepath.Dir(c.ConfFile)}
	var trees []string
	for _, m := range c.Modules {
		d.Dirs = append(d.Dirs, provision.Dir{
			Path: m.Path, Mode: 0o755, Owner: provision.Owner{User: m.Owner, Group: m.Group}, OwnerOnCreate: true,
		})
		trees = append(trees, m.Path)
	}
	d.Warnings = append(d.Warnings, w.lesser()...)
	if !w.Units {
		return d, nil
	}
	u, err := w.unit(ReceiverUnit, "receiver.service.tmpl", place{
		paths:  append([]string{c.Auth.SecretsFile}, append(writable, trees...)...),
		mounts: trees, writable: append(writable, trees...), chroot: true,
	})
	if err != nil {
		return d, err
	}
	d.Files[0].Effect, d.Files[0].Service = provision.Reload, ReceiverUnit
	d.Units = append(d.Units, u)
	return d, nil
}

// base is what both roles have: their configuration, their directories.
func (w Wanted) base(role, state string) provision.Desired {
	d := provision.Desired{Role: role, Version: w.Version, StateDir: state}
	if len(w.Content) > 0 {
		d.Files = append(d.Files, provision.File{Path: w.File, Content: w.Content, Mode: 0o644, Owner: w.owner(), User: true})
	}
	d.Dirs = append(d.Dirs,
		provision.Dir{Path: filepath.Dir(w.File), Mode: 0o755, OwnerOnCreate: true},
		provision.Dir{Path: state, Mode: 0o755, OwnerOnCreate: true})
	return d
}

// owner is root where root runs it: rsync refuses secrets of another owner.
func (w Wanted) owner() provision.Owner {
	if w.Root {
		return provision.Owner{User: "0", Group: "0"}
	}
	return provision.Owner{}
}

// lesser tells what a receiver that is not root cannot do.
func (w Wanted) lesser() []string {
	if w.Root {
		return nil
	}
	return []string{"not root: owners are not kept and symbolic links are stored so that they lead nowhere on this slave; run it as root to keep both"}
}

func sysctl() provision.File {
	return provision.File{
		Path: "/etc/sysctl.d/60-syncagent.conf", Kind: provision.KindSysctl, Mode: 0o644, Owner: provision.Owner{User: "0", Group: "0"},
		Content: []byte("# Written by \"agent init master\": room for one watch a directory, and for bursts.\n" +
			"fs.inotify.max_user_watches = 1048576\nfs.inotify.max_user_instances = 1024\nfs.inotify.max_queued_events = 65536\n"),
	}
}

// rsyncdConf is the daemon's file: built from the model, validated by it, and
// accepted by the daemon's own parser before it replaces anything. The daemon
// reads it for each connection, so its change needs neither reload nor restart.
func (w Wanted) rsyncdConf(ctx context.Context, c *config.Receiver) provision.File {
	conf := daemonConf(w.Root, c)
	return provision.File{
		Path: c.ConfFile, Content: conf.Render(), Mode: 0o644, Owner: w.owner(),
		Validate: func(content []byte) error { return w.checkConf(ctx, conf, content) },
	}
}

func (w Wanted) checkConf(ctx context.Context, conf rsyncd.Conf, content []byte) error {
	if err := conf.Validate(); err != nil {
		return err
	}
	if w.Rsync == "" {
		return nil // said elsewhere: there is no rsync to ask
	}
	return probe.Check(ctx, w.Rsync, content)
}

func stateFile(c *config.Receiver, name string) string {
	return filepath.Join(c.StateDir, "rsyncd."+name)
}

// daemonConf is the safe rsyncd.conf of a receiver.
func daemonConf(root bool, c *config.Receiver) rsyncd.Conf {
	spec := rsyncd.Spec{
		Root: root, Address: c.Address, Port: c.Port, User: c.Auth.User, Also: c.Auth.Also, SecretsFile: c.Auth.SecretsFile,
		Allow: c.Allow, MaxConnections: c.MaxConnections,
		PIDFile: stateFile(c, "pid"), LogFile: stateFile(c, "log"), LockFile: stateFile(c, "lock"),
	}
	for _, m := range c.Modules {
		spec.Modules = append(spec.Modules, rsyncd.ModuleSpec{
			Name: m.Name, Path: m.Path, UID: m.UID, GID: m.GID, NoChroot: !m.Chroot, ReadOnly: m.ReadOnly,
		})
	}
	conf := rsyncd.Receiver(spec)
	conf.MOTDFile = stateFile(c, "motd")
	return conf
}

// endpoint is the address on which the receiver's own daemon answers us.
func endpoint(c *config.Receiver) (host string, port int) {
	switch c.Address {
	case "", "0.0.0.0":
		return "127.0.0.1", c.Port
	case "::": // to rsync, IPv6 alone
		return "::1", c.Port
	}
	return c.Address, c.Port
}

func endpointName(c *config.Receiver) string {
	host, port := endpoint(c)
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// SourceWarnings names the modules whose directory is not there. That is no fault of
// the configuration: a disk may still be mounted.
func SourceWarnings(c *config.Master) []string {
	var list []string
	for _, m := range c.ModuleSpecs {
		switch info, err := os.Stat(m.Path); {
		case errors.Is(err, fs.ErrNotExist):
			list = append(list, fmt.Sprintf("source directory %s of module %s does not exist yet: create or mount it, replication starts by itself", m.Path, m.Name))
		case err != nil:
			list = append(list, fmt.Sprintf("source directory of module %s cannot be looked at (%v): look at the path and its permissions", m.Name, err))
		case !info.IsDir():
			list = append(list, fmt.Sprintf("the path %s of module %s is not a directory: a module is a tree, name the directory", m.Path, m.Name))
		}
	}
	return list
}
