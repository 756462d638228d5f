package rsyncd

import (
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// values checks what must hold for every value: that the line it makes is read
// back as the same value, and means the same to the daemon.
func (v *validator) values(params []param, extra []Param) {
	for _, p := range params {
		if value, ok := p.format(); ok {
			v.value(p.name, value)
		}
	}
	v.lists(params)
	for _, e := range extra {
		v.extra(params, e)
		v.value(e.Name, e.Value)
	}
}

func (v *validator) value(name, s string) {
	i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
	switch {
	case i >= 0:
		v.add(name, "remove it", "%q holds a control character", s)
	case strings.TrimSpace(s) != s:
		v.add(name, "remove it", "%q begins or ends in white space, which the daemon drops", s)
	case strings.HasSuffix(s, `\`):
		v.add(name, "remove it", "%q ends in a backslash, which would join the next line to it", s)
	case strings.Contains(s, "#"):
		v.add(name, "use another name", "%q holds a #, which reads like a comment and is none", s)
	case variable.MatchString(s) && canonical(name) != "logformat":
		v.add(name, "use another name", "the daemon takes %q for an environment variable", variable.FindString(s))
	}
}

// variable is what expand_vars in loadparm.c replaces.
var variable = regexp.MustCompile(`%[A-Z][^%]*%`)

// lists finds entries that would not survive the way through the file, such as
// one that holds a separator.
func (v *validator) lists(params []param) {
	for _, p := range params {
		before, ok := p.format()
		if !ok || p.entries == nil {
			continue
		}
		if !slices.Equal(p.entries(), p.split(before)) {
			v.add(p.name, "write one word each", "%q holds a blank, a comma or an empty entry", before)
		}
	}
}

// extra refuses a parameter that the daemon would drop: a word in its log is
// all it has for "host allow", and then it serves everyone.
func (v *validator) extra(params []param, e Param) {
	if canonical(e.Name) == "" || collapse([]byte(e.Name)) != e.Name || strings.ContainsAny(e.Name, "=\\") ||
		strings.ContainsAny(e.Name[:1], "#;[&") {
		v.add(e.Name, "write it as rsyncd.conf(5) does", "%q is no parameter name", e.Name)
		return
	}
	if _, ok := find(params, e.Name); ok {
		v.add(e.Name, "use the field", "it has a field of its own")
		return
	}
	if !known(e.Name) {
		v.add(e.Name, "did you mean "+nearest(e.Name)+"?", "the daemon knows no such parameter and would go on without it")
		return
	}
	if v.in != "" && isGlobal(e.Name) {
		v.add(e.Name, "move it above the modules", "it does nothing inside a module")
	}
}

func (v *validator) address(name, s string) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		v.add(name, "use an IPv4 or IPv6 address", "%q is no address", s)
	case a.Is4In6():
		v.add(name, "write "+a.Unmap().String(), "%q is never what the daemon compares with", s)
	}
}

// hosts wants addresses: a name costs a DNS question for each connection, and
// lets in whoever owns the DNS.
func (v *validator) hosts(m Module) {
	if len(m.HostsAllow) == 0 {
		v.add("hosts allow", "name the masters' addresses", "every host would be let in")
	}
	for _, h := range m.HostsAllow {
		v.host(h)
	}
	if len(m.HostsDeny) > 0 && !slices.Equal(m.HostsDeny, []string{"*"}) {
		v.add("hosts deny", `set it to "*"`, "whoever is in neither list would be let in")
	}
}

func (v *validator) host(h string) {
	if !strings.Contains(h, "/") {
		v.address("hosts allow", h)
		return
	}
	p, err := netip.ParsePrefix(h)
	switch {
	case err != nil:
		v.add("hosts allow", "use an address, or a prefix like 192.168.1.0/24", "%q is no prefix", h)
	case p.Addr().Is4In6():
		v.add("hosts allow", "write it as an IPv4 prefix", "%q is never what the daemon compares with", h)
	case p.Bits() == 0:
		v.add("hosts allow", "name the masters' addresses", "%q lets every host in", h)
	}
}

func (v *validator) absolute(name, p string) bool {
	if !strings.HasPrefix(p, "/") {
		v.add(name, "write it from / on", "%q is not an absolute path", p)
		return false
	}
	if filepath.Clean(p) != p {
		v.add(name, "write "+filepath.Clean(p), "%q is not the path's plain form", p)
		return false
	}
	return true
}
