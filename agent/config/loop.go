package config

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// loops finds a source that is, contains or lies in a directory which this
// host's own receiver serves where the module is pushed to. A source that the
// receiver serves to others is a chain, not a loop.
func (v *validator) loops(modules []Module, paths []located) {
	if v.net() == nil {
		return
	}
	own, readErr := v.net().Receiver()
	overSSH := slices.ContainsFunc(modules, func(m Module) bool {
		return slices.ContainsFunc(m.Targets, func(t Target) bool { return t.SSH != nil })
	})
	if own == nil && readErr == nil && !overSSH {
		return
	}
	local, err := v.net().Addresses()
	if err != nil {
		v.add("", "cannot list this host's addresses to rule out a loop: "+oneLine(err), "look at the network of this host")
		return
	}
	r := reach{net: v.net(), local: local, names: map[string][]netip.Addr{}}
	v.sshLoops(modules, paths, r)
	switch {
	case readErr != nil:
		v.unreadable(readErr, modules, r)
		return
	case own == nil:
		return
	}
	served := v.receivedPaths(own)
	for i, m := range modules {
		v.loop(m, paths[i], own, served, r)
	}
}

// unreadable reports a receiver configuration that cannot be read, when
// something is pushed to this host at all.
func (v *validator) unreadable(err error, modules []Module, r reach) {
	for _, m := range modules {
		if slices.ContainsFunc(m.Targets, func(t Target) bool { return r.reaches(t.Host, "") }) {
			v.add("", "cannot rule out a loop: "+oneLine(err), "mend that file or remove it")
			return
		}
	}
}

// loop reports the first loop of a module.
func (v *validator) loop(m Module, at located, own *Receiver, served []located, r reach) {
	for i, s := range served {
		p, q, ok := at.overlap(s)
		if !ok {
			continue
		}
		j := slices.IndexFunc(m.Targets, func(t Target) bool { return t.SSH == nil && t.Port == own.Port && r.reaches(t.Host, own.Address) })
		if j < 0 {
			return
		}
		t := m.Targets[j]
		where := t.Host + " port " + strconv.Itoa(t.Port) + " as module " + own.Modules[i].Name
		v.add(at.key,
			"loop: "+overlapText(p, q, "what this host's own receiver serves at "+where)+", and target "+t.Name+" is that receiver",
			"push to another host, or leave target "+t.Name+" out of the module")
		return
	}
}

// reach knows which connections end at this host.
type reach struct {
	net   Net
	local []netip.Addr
	names map[string][]netip.Addr // what has been looked up
}

// reaches reports whether a connection to host ends at a receiver of this host
// that listens on bind. A name that does not resolve reaches nobody now.
func (r reach) reaches(host, bind string) bool {
	for _, a := range r.addresses(host) {
		a = a.Unmap().WithZone("")
		here := a.IsLoopback() || a.IsUnspecified() || slices.ContainsFunc(r.local, func(b netip.Addr) bool {
			return b.Unmap().WithZone("") == a
		})
		if here && listens(bind, a) {
			return true
		}
	}
	return false
}

// addresses asks the name server once a name; one that does not answer has
// none.
func (r reach) addresses(host string) []netip.Addr {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}
	}
	list, known := r.names[host]
	if !known {
		list, _ = r.net.Lookup(host)
		r.names[host] = list
	}
	return list
}

// listens reports whether a daemon bound to bind gets what comes for a.
func listens(bind string, a netip.Addr) bool {
	b, err := netip.ParseAddr(bind)
	if err != nil || b.IsUnspecified() || a.IsUnspecified() {
		return true
	}
	return b.Unmap().WithZone("") == a
}

// oneLine is the first of several faults.
func oneLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
