package config

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// The values of TargetSpec.Transport and ModuleSpec.Transport.
const (
	TransportDaemon = "daemon"
	TransportSSH    = "ssh"
)

// SSH is how to log in by ssh, where rsync runs as a program and not as a
// daemon. What is empty is a matter of ssh's own configuration.
type SSH struct {
	User       string
	Port       int      // 0: ssh's own, 22 as a rule
	KeyFile    string   // absolute, a private key without passphrase
	KnownHosts string   // absolute, host keys that are accepted
	Options    []string // further options of ssh_config(5), each Name=value
}

func sshFields(s *SSH) []field {
	return []field{
		text("user", &s.User, sshUser, "user over there"),
		number("port", &s.Port, 0, 65535, "of the ssh server; 0 is ssh's own choice"),
		text("key_file", &s.KeyFile, optionalPath, "private key without passphrase, mode 0600"),
		text("known_hosts", &s.KnownHosts, optionalPath, "file of the host keys that are accepted"),
		{name: "options", doc: "of ssh_config(5), each Name=value", list: &listField{p: &s.Options, check: sshOption}},
	}
}

func transport(text string) (string, *problem) {
	return enum("", "", TransportDaemon, TransportSSH)(text)
}

func sshUser(text string) (string, *problem) {
	if text == "" {
		return "", nil
	}
	return account(text)
}

// sshOption takes one setting of ssh_config(5). What would run a program or
// undo what a run rests on is refused.
func sshOption(text string) (string, *problem) {
	name, value, ok := strings.Cut(text, "=")
	if _, bad := anyText(text); bad != nil {
		return "", bad
	}
	switch {
	case !ok || !madeOf(name, "") || value == "":
		return "", &problem{quote(text) + " is no option of ssh", "write Name=value, as in ServerAliveInterval=15"}
	case oneOf(name, "BatchMode", "RemoteCommand", "LocalCommand", "PermitLocalCommand", "RequestTTY", "SessionType", "StdinNull", "ForkAfterAuthentication"):
		return "", &problem{"option " + quote(text) + " is not taken", "the runs depend on it as it is"}
	case oneOf(name, "User", "Port", "IdentityFile", "UserKnownHostsFile"):
		return "", &problem{"option " + quote(text) + " has a key of its own", "write user, port, key_file or known_hosts"}
	}
	return text, nil
}

// overSSH turns a target into one that is reached by ssh.
func (m *Master) overSSH(t *Target, own SSH, here string) {
	s := SSH{
		User:       cmp.Or(own.User, m.SSH.User),
		Port:       cmp.Or(own.Port, m.SSH.Port),
		KeyFile:    cmp.Or(own.KeyFile, m.SSH.KeyFile),
		KnownHosts: cmp.Or(own.KnownHosts, m.SSH.KnownHosts),
		Options:    m.SSH.Options,
	}
	if own.Options != nil {
		s.Options = own.Options
	}
	t.Transport, t.SSH, t.Module, t.Port = TransportSSH, &s, "", s.Port
	t.Dir = cmp.Or(t.Dir, here)
}

// transports checks what a destination's path means to its transport.
func (v *validator) transports(m *Master, modules []Module) {
	for _, mod := range modules {
		key := join("modules", mod.Name) + ".targets"
		for _, t := range mod.Targets {
			switch {
			case t.SSH == nil && path.IsAbs(t.Dir):
				v.add(key, quote(t.Dir)+" is not a path below the remote module", "write "+quote(strings.Trim(t.Dir, "/"))+", or transport: ssh")
			case t.SSH != nil && m.destModule(mod.Name, t.Name) != "":
				v.add(key, "target "+quote(t.Name)+" is reached by ssh, which knows no modules", "write path: and the directory over there")
			}
		}
	}
}

// destModule is the remote module written for a target.
func (m *Master) destModule(module, target string) string {
	for _, spec := range m.ModuleSpecs {
		for _, d := range spec.Targets {
			if spec.Name == module && d.Target == target {
				return d.Module
			}
		}
	}
	return ""
}

// onlySSH reports whether no module reaches the target's rsync daemon, so that
// it needs no password.
func (m *Master) onlySSH(t TargetSpec) bool {
	only := t.Transport == TransportSSH
	for _, spec := range m.ModuleSpecs {
		if !slices.ContainsFunc(spec.dests(m.TargetSpecs), func(d ModuleDest) bool { return d.Target == t.Name }) {
			continue
		}
		if cmp.Or(spec.Transport, t.Transport) != TransportSSH {
			return false
		}
		only = true
	}
	return only
}

// sshFiles are the files that ssh's keys name.
func sshFiles(key string, s SSH) []located {
	return present([]located{{key: key + ".key_file", path: s.KeyFile}, {key: key + ".known_hosts", path: s.KnownHosts}})
}

func present(list []located) []located {
	return slices.DeleteFunc(list, func(l located) bool { return l.path == "" })
}

// sshLoops finds a source that overlaps where ssh would write on this very
// host.
func (v *validator) sshLoops(modules []Module, paths []located, r reach) {
	for i, m := range modules {
		for _, t := range m.Targets {
			if t.SSH == nil || !path.IsAbs(t.Dir) {
				continue
			}
			p, q, ok := paths[i].overlap(v.locate("", t.Dir))
			if ok && r.reaches(t.Host, "") {
				v.add(paths[i].key, "loop: "+overlapText(p, q, "where target "+t.Name+" has it, on this very host"), "push to another host or directory")
				break
			}
		}
	}
}
