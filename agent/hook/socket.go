package hook

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// Socket sends to a TCP or unix socket: JSON lines, or with Bare each absolute
// path in a connection of its own and nothing else.
type Socket struct {
	Address string // host:port, or unix: and a path
	Bare    bool
}

// PerPath implements PerPath.
func (s Socket) PerPath() bool { return s.Bare }

// Run implements Runner.
func (s Socket) Run(ctx context.Context, e Event) error {
	if !s.Bare {
		line, err := e.encode()
		if err != nil {
			return Permanent{fmt.Errorf("encode event: %w", err)}
		}
		return s.send(ctx, append(line, '\n'))
	}
	if len(e.Paths) == 0 {
		return nil // a state, which the format cannot say
	}
	return s.send(ctx, []byte(e.Abs(e.Paths[0].Path)))
}

// send makes one connection. A peer that closes without reading shows as an
// error of the write or of the close at best; the format knows no answer.
func (s Socket) send(ctx context.Context, data []byte) error {
	network, address := "tcp", s.Address
	if file, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", file
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", s.Address, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err = conn.Write(data)
	if closed := conn.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("write to %s: %w", s.Address, err)
	}
	return nil
}
