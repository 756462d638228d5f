package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// HostPort is where a daemon listens.
type HostPort struct {
	Host string
	Port int // 0: the default
}

// ParseHostPort reads HOST, HOST:PORT, an IPv6 address, or one in brackets
// with a port.
func ParseHostPort(text string) (HostPort, error) {
	host, port := text, ""
	if _, err := netip.ParseAddr(text); err != nil && strings.Contains(text, ":") && !strings.HasSuffix(text, "]") {
		var err error
		if host, port, err = net.SplitHostPort(text); err != nil {
			return HostPort{}, fmt.Errorf("%s is no address: write HOST or HOST:PORT", quote(text))
		}
		if port == "" {
			return HostPort{}, fmt.Errorf("%s has no port behind the colon: write HOST or HOST:PORT", quote(text))
		}
	}
	host, bad := hostName(host)
	if bad != nil {
		return HostPort{}, fmt.Errorf("%s: %s", bad.text, bad.hint)
	}
	if port == "" {
		return HostPort{Host: host}, nil
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 {
		return HostPort{}, fmt.Errorf("%s is no port: write one from 1 to 65535", quote(port))
	}
	return HostPort{Host: host, Port: n}, nil
}
