package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	logKeep  = 4
	logLimit = 16 << 20 // bytes
	logLook  = 5 * time.Minute
)

// rotate keeps the daemon's log bounded. The daemon closes its log between
// connections, so renaming it is enough.
func (r *Receiver) rotate(ctx context.Context) error {
	tick := time.NewTicker(logLook)
	defer tick.Stop()
	for {
		if err := rotateLog(stateFile(r.current(), "log")); err != nil {
			r.log.Warn("log cannot be rotated", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func rotateLog(name string) error {
	info, err := os.Stat(name)
	if err != nil || info.Size() < logLimit {
		return nil // not there yet, or not long yet
	}
	for i := logKeep; i > 1; i-- {
		err := os.Rename(fmt.Sprintf("%s.%d", name, i-1), fmt.Sprintf("%s.%d", name, i))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("rotate log: %w", err)
		}
	}
	if err := os.Rename(name, name+".1"); err != nil {
		return fmt.Errorf("rotate log: %w", err)
	}
	return nil
}
