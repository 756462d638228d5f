package doctor

import (
	"context"
	"os"
	"syscall"

	"syncagent/agent/config"
)

// Slave looks at what the slave's role needs: its own files, the daemon's
// configuration and whom it lets in, the port, and every module's directory. It
// does not judge the configuration itself; see Config.
func Slave(ctx context.Context, c *config.Receiver, opt Options) []Finding {
	s := &slave{Options: opt.filled(), c: c}
	s.self = os.Geteuid()
	s.owner = ownerOf(c.ConfFile, s.self)
	list := s.state(ctx, c.StateDir, "slave")
	list = append(list, secret(about{"secrets", c.Auth.SecretsFile}, "slave", s.passwords()))
	list = append(list, s.fidelity()...)
	conf, found := s.conf(ctx)
	list = append(list, found...)
	list = append(list, s.port(ctx))
	for _, m := range c.Modules {
		found, usable := s.module(ctx, m)
		list = append(list, found...)
		if conf != nil && usable {
			list = append(list, s.access(ctx, *conf, m.Name))
		}
	}
	return list
}

// slave is one look at a receiver.
type slave struct {
	Options
	c *config.Receiver
	// self is who asks. owner runs the receiver: whoever wrote its rsyncd.conf,
	// else whoever asks.
	self, owner int
}

func (s *slave) asRoot() bool { return s.owner == 0 }

func ownerOf(file string, otherwise int) int {
	info, err := os.Stat(file)
	if err != nil {
		return otherwise
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return otherwise
}

// fidelity tells what a receiver cannot keep of a tree.
func (s *slave) fidelity() []Finding {
	a := about{"fidelity", "receiver"}
	if !s.asRoot() {
		return []Finding{a.warn("run the receiver as root to keep both",
			"runs as uid %d, not as root: owners are not kept, and symbolic links are stored so that they lead nowhere", s.owner)}
	}
	var list []Finding
	for _, m := range s.c.Modules {
		if !m.Chroot {
			list = append(list, about{"fidelity", m.Name}.warn("set chroot: true for the module",
				"without chroot symbolic links are stored so that they lead nowhere"))
		}
	}
	if list == nil {
		list = append(list, a.ok("runs as root: owners and symbolic links are kept"))
	}
	return list
}
