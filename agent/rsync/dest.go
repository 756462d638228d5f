package rsync

import (
	"net"
	"net/url"
	"strconv"
	"strings"
)

// DefaultPort is the rsync daemon's port (IANA).
const DefaultPort = 873

// Dest is where one module of one slave lives and how to log in there.
type Dest struct {
	Host         string
	Port         int    // 0: DefaultPort
	Module       string // as the slave's rsyncd.conf spells it
	Dir          string // below the module, "" for its root
	User         string // "" where the module asks for none
	PasswordFile string // path of the file that holds the password; "" where the module asks for none
	SSH          *SSH   // nil: an rsync daemon; else Host and Dir alone count
}

// Address returns host:port, an IPv6 address in brackets.
func (d Dest) Address() string {
	port := d.Port
	if port == 0 {
		port = DefaultPort
	}
	return net.JoinHostPort(d.Host, strconv.Itoa(port))
}

// URL returns rsync://user@host:port/module/dir/ as rsync's own parser reads
// it: nothing is percent-encoded, the trailing slash is always there.
func (d Dest) URL() string {
	var b strings.Builder
	b.WriteString("rsync://")
	if d.User != "" {
		b.WriteString(d.User + "@")
	}
	b.WriteString(d.Address() + "/" + d.Module + "/")
	if dir := d.dir(); dir != "" {
		b.WriteString(escapeGlob(dir) + "/")
	}
	return b.String()
}

// arg is the destination in rsync's arguments.
func (d Dest) arg() string {
	if d.SSH != nil {
		return d.remote()
	}
	return d.URL()
}

// dir is Dir without slashes around it.
func (d Dest) dir() string { return strings.Trim(d.Dir, "/") }

// escapeGlob keeps the daemon from expanding wildcards: without it s[1] writes
// into s1.
func escapeGlob(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(`*?[]\`, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// String is for logs: the address without the user.
func (d Dest) String() string {
	if d.SSH != nil {
		return d.sshString()
	}
	u := url.URL{Scheme: "rsync", Host: d.Address(), Path: "/" + d.Module + "/" + d.dir()}
	return u.String()
}
