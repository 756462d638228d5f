package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"

	"syncagent/rsyncd"
)

// Guarded makes sure that module m of confFile lets in user with password from
// the first allowed address, and neither the same with another password nor
// anybody from an address that is not allowed. It fails with every hole it
// found.
func Guarded(ctx context.Context, bin, confFile string, m rsyncd.Module, user, password string) error {
	friend, stranger, err := visitors(m.HostsAllow)
	if err != nil {
		return fmt.Errorf("probe module %s: %w", m.Name, err)
	}
	var errs []error
	for _, visit := range []struct {
		login Login
		want  Verdict
	}{
		{Login{m.Name, user, password, friend}, Accepted},
		{Login{m.Name, user, rand.Text(), friend}, AuthFailed},
		{Login{m.Name, user, password, stranger}, Denied},
	} {
		got, err := Access(ctx, bin, confFile, visit.login)
		if err == nil && got != visit.want {
			err = fmt.Errorf("probe login of %s: want %q, the daemon says %q; look at hosts allow, auth users and the secrets file",
				visit.login, visit.want, got)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// visitors returns an address that is allowed and one that is not, of those
// set aside for documentation (RFC 5737, RFC 3849).
func visitors(allow []string) (friend, stranger netip.Addr, err error) {
	var prefixes []netip.Prefix
	for _, a := range allow {
		p, err := netip.ParsePrefix(a)
		if err != nil {
			addr, err := netip.ParseAddr(a)
			if err != nil {
				return friend, stranger, fmt.Errorf("hosts allow: %q is neither an address nor a prefix", a)
			}
			p = netip.PrefixFrom(addr.WithZone(""), addr.BitLen())
		}
		prefixes = append(prefixes, p)
	}
	if len(prefixes) == 0 {
		return friend, stranger, errors.New("hosts allow is empty: every host is let in")
	}
	for _, s := range []string{"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"} {
		stranger = netip.MustParseAddr(s)
		if !contains(prefixes, stranger) {
			return prefixes[0].Addr(), stranger, nil
		}
	}
	return friend, stranger, errors.New("hosts allow lets in every address that could be tried")
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
