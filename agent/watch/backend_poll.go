package watch

import (
	"context"
	"time"

	"syncagent/agent/tree"
)

// pollBackend knows nothing of changes: it reports the root as a whole at a
// fixed interval.
type pollBackend struct {
	dir   rootDir
	every time.Duration
	out   *outlet
}

func newPoll(cfg Config, dir rootDir, out *outlet) *pollBackend {
	return &pollBackend{dir: dir, every: cfg.PollEvery, out: out}
}

func (b *pollBackend) run(ctx context.Context, ready func()) error {
	ready()
	tick := time.NewTicker(b.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := b.dir.lost(); err != nil {
				return err
			}
			b.out.emit(Event{Path: tree.Root, What: tree.Deep, Cause: Polled})
		}
	}
}

// flush marks everything: what changed is not known.
func (b *pollBackend) flush(context.Context) (time.Time, error) {
	b.out.emit(Event{Path: tree.Root, What: tree.Deep, Cause: Polled})
	return time.Time{}, nil
}

func (b *pollBackend) mounted(p tree.Path) {
	b.out.emit(Event{Path: p, What: tree.Content | tree.Deep, Cause: Mounted})
}
