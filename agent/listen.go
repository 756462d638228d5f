package agent

import (
	"context"
	"fmt"
	"net"
	"time"

	"syncagent/agent/status"
)

// listenKey is the part that answers on the address of the key listen.
const listenKey = "listen"

// listenAgain is how long an address that cannot be had rests.
const listenAgain = 10 * time.Second

// setListen answers on another address from now on, or on none.
func (m *Master) setListen(ctx context.Context, address string) {
	m.crew.stop(listenKey)
	if address != "" {
		m.crew.start(ctx, listenKey, func(ctx context.Context) error { return m.answer(ctx, address) })
	}
}

// answer tells whoever asks on address until ctx ends. Replication neither waits
// for an address that cannot be had nor ends for it: it is tried again.
func (m *Master) answer(ctx context.Context, address string) error {
	var told string
	for {
		err := m.answerOnce(ctx, address)
		if ctx.Err() != nil {
			return nil
		}
		if err.Error() != told {
			told = err.Error()
			m.log.Warn("metrics and status are not told, which is tried again", "listen", address, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(listenAgain):
		}
	}
}

func (m *Master) answerOnce(ctx context.Context, address string) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w: is another program on it? end it, or give listen another port", err)
	}
	m.log.Info("metrics and status are told", "listen", l.Addr().String())
	return status.ServeReaders(ctx, l, m)
}
