package rsync

import (
	"net"
	"strconv"
	"strings"
	"time"
)

// SSH is how to reach a slave that runs no daemon: rsync there is started by
// ssh, with the rights of its user, and Dest.Dir is a directory of that host.
//
// What the options rest on, tried with rsync 3.5.0 and OpenSSH 9.2:
// --secluded-args sends all arguments through the connection, so that no shell
// over there reads a directory's name; wildcards in it are still expanded, by
// rsync. A destination that ends in /. must be there: rsync makes one that ends in a
// slash, also where a disk is not mounted.
type SSH struct {
	User       string   // "" is ssh's own choice
	Port       int      // 0 is ssh's own choice
	KeyFile    string   // a private key without passphrase, "" is ssh's own choice
	KnownHosts string   // "" is ssh's own files
	Options    []string // Name=value of ssh_config(5), stronger than ours
}

// Argv is the command that rsync runs with the host and its own server behind
// it. Nothing in it asks a person, and a host whose key is not known is refused.
func (s SSH) Argv(connect time.Duration) []string {
	argv := []string{"ssh", "-T", "-x"}
	set := func(options ...string) {
		for _, o := range options {
			argv = append(argv, "-o", o)
		}
	}
	set(s.Options...) // of two values ssh takes the first
	set("BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout="+seconds(connect), "ServerAliveInterval=15", "ServerAliveCountMax=3")
	if s.KnownHosts != "" {
		set("UserKnownHostsFile=" + quoteConfig(s.KnownHosts))
	}
	if s.KeyFile != "" {
		set("IdentitiesOnly=yes", "IdentityFile="+quoteConfig(s.KeyFile))
	}
	if s.Port != 0 {
		argv = append(argv, "-p", strconv.Itoa(s.Port))
	}
	if s.User != "" {
		argv = append(argv, "-l", s.User)
	}
	return argv
}

// quoteConfig writes a file's name as ssh_config(5) reads it: one word, without
// tokens.
func quoteConfig(file string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(file) + `"`
}

// shellArg is the value of rsync's --rsh, which rsync splits at blanks; between
// single quotes a doubled one stands for itself.
func (s SSH) shellArg(connect time.Duration) string {
	words := s.Argv(connect)
	for i, w := range words {
		words[i] = "'" + strings.ReplaceAll(w, "'", "''") + "'"
	}
	return strings.Join(words, " ")
}

// remote is the destination as rsync takes it for a remote shell.
func (d Dest) remote() string {
	host := d.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + escapeGlob(strings.TrimRight(d.Dir, "/")) + "/."
}

// sshString is for logs.
func (d Dest) sshString() string {
	host := d.Host
	if d.SSH.Port != 0 {
		host = net.JoinHostPort(d.Host, strconv.Itoa(d.SSH.Port))
	}
	return "ssh://" + host + "/" + strings.TrimLeft(d.Dir, "/")
}

// connection are the options that depend on how the slave is reached.
func (c *Client) connection() []string {
	o := c.cfg.Options
	if s := c.cfg.Dest.SSH; s != nil {
		return []string{"--secluded-args", "--rsh=" + s.shellArg(o.ConnectTimeout)}
	}
	return []string{
		"--sockopts=TCP_NODELAY", "--no-motd", "--contimeout=" + seconds(o.ConnectTimeout), "--password-file=" + c.passwordFile(),
	}
}
