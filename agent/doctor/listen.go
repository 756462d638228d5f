package doctor

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"syncagent/agent/rsync"
)

// port judges the port that the receiver's daemon has, or is to have.
func (s *slave) port(ctx context.Context) Finding {
	a := about{"port", net.JoinHostPort(s.c.Address, strconv.Itoa(s.c.Port))}
	if s.Holder != nil {
		if who, taken := s.Holder(s.c); taken {
			return a.fail("end it, or choose another port in the receiver's configuration", "taken by %s", who)
		}
	}
	if s.owner != 0 && s.c.Port < firstFreePort() {
		return a.fail("choose a port from "+strconv.Itoa(firstFreePort())+" on, or run the receiver as root", "only root may listen there")
	}
	g, err := s.greet(ctx, rsync.Dest{Host: s.loopback(), Port: s.c.Port})
	switch {
	case err == nil && s.Holder != nil && s.self == 0:
		return a.ok("our own rsync daemon answers, protocol %s", g.Protocol)
	case err == nil:
		return a.ok("an rsync daemon answers, protocol %s", g.Protocol)
	case errors.Is(err, syscall.ECONNREFUSED):
		return a.warn("start the receiver, for example \"systemctl start syncagent-receiver\"", "free: the receiver does not run")
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return a.fail("write an address of this host, or \"\" for all", "this host has no such address: %v", err)
	}
	return a.fail("see who listens there with \"ss -ltnp\", and the daemon's log", "taken, but no rsync daemon answers: %v", err)
}

// loopback is where the daemon answers this very host.
func (s *slave) loopback() string {
	switch s.c.Address {
	case "", "0.0.0.0":
		return "127.0.0.1"
	case "::":
		return "::1"
	}
	return s.c.Address
}

// firstFreePort is the first that a user who is not root may listen on (ip(7)).
func firstFreePort() int {
	data, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
			return n
		}
	}
	return 1024
}
