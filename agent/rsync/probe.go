package rsync

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	// probeTimeout bounds a probe whose context has no nearer deadline.
	probeTimeout = 10 * time.Second
	// maxGreeting bounds, in bytes, what a probe reads.
	maxGreeting = 64 << 10
	maxMOTD     = 100
)

// probeCommand is no command of the protocol. The daemon answers it with an
// @ERROR line behind its message of the day, which tells where that ends.
const probeCommand = "#agent-probe"

// Greeting is what a daemon says before a module is chosen.
type Greeting struct {
	Protocol string   // e.g. "32.0"
	MOTD     []string // printable, at most a hundred lines
}

// Probe connects to the slave's daemon and reads its greeting, without an
// rsync process and without a module: it tells whether a daemon answers there,
// not whether it lets us in. The error is an *Error.
func Probe(ctx context.Context, d Dest) (Greeting, error) {
	if d.SSH != nil {
		return Greeting{}, ctx.Err() // who answers is ssh, and only a run can tell more
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", d.Address())
	if err != nil {
		return Greeting{}, dialError(d.Address(), err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	g, err := greet(conn)
	if e := (*Error)(nil); err != nil && !errors.As(err, &e) {
		return g, &Error{
			Class: Transient, Code: -1, Text: "no greeting from " + d.Address(), Err: err,
			Hint: "the port accepts connections but no rsync daemon answers: see the slave's log",
		}
	}
	return g, err
}

// greet speaks the opening of the daemon protocol: both sides send
// "@RSYNCD: <version> <digests>", then the client a module name or a command
// (rsync's clientserver.c).
func greet(conn io.ReadWriter) (Greeting, error) {
	in := bufio.NewReader(io.LimitReader(conn, maxGreeting))
	line, err := readLine(in)
	version, ok := strings.CutPrefix(line, "@RSYNCD: ")
	switch {
	case !ok && line != "":
		return Greeting{}, &Error{
			Class: Incompatible, Code: -1, Hint: hintNotRsync,
			Text: fmt.Sprintf("the peer sent %q rather than an rsync greeting", printable(line, 80)),
		}
	case err != nil:
		return Greeting{}, err
	}
	g := Greeting{Protocol: printable(strings.SplitN(version, " ", 2)[0], 16)}
	if _, err := io.WriteString(conn, line+"\n"+probeCommand+"\n"); err != nil {
		return g, err
	}
	for len(g.MOTD) < maxMOTD {
		line, err := readLine(in)
		if strings.HasPrefix(line, "@ERROR") || strings.HasPrefix(line, "@RSYNCD: EXIT") || err == io.EOF {
			break
		}
		if err != nil {
			return g, err
		}
		g.MOTD = append(g.MOTD, printable(line, 400))
	}
	for n := len(g.MOTD); n > 0 && g.MOTD[n-1] == ""; n-- {
		g.MOTD = g.MOTD[:n-1]
	}
	return g, nil
}

func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// dialError tells a closed port from a silent one: service or firewall.
func dialError(address string, err error) *Error {
	e := &Error{Class: Transient, Code: -1, Err: err, Text: "connect to " + address + ": " + bare(err).Error(), Hint: "is the slave up, and does a firewall block the port?"}
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		e.Hint = "the slave's host name does not resolve"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Hint = "is the receiver running on the slave, on this port?"
	}
	return e
}

// bare is what the system or the resolver said, without Go's words around it.
func bare(err error) error {
	var dns *net.DNSError
	var errno syscall.Errno
	switch {
	case errors.As(err, &dns):
		return errors.New(dns.Err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("no answer")
	case errors.As(err, &errno):
		return errno
	}
	return err
}
