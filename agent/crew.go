package agent

import (
	"context"
	"sync"
)

// crew runs parts that come and go by name, and ends with all of them gone.
type crew struct {
	mu    sync.Mutex
	parts map[string]*part // nil once all were stopped
	errs  chan error       // the first failure of any part
}

type part struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func newCrew() *crew {
	return &crew{parts: map[string]*part{}, errs: make(chan error, 1)}
}

// start runs a part until stop is called with its name, or stopAll, also when ctx
// ends before: whoever is told to stop has something to do first. After stopAll it does
// nothing.
func (c *crew) start(ctx context.Context, name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &part{cancel, make(chan struct{})}
	c.mu.Lock()
	if c.parts == nil {
		c.mu.Unlock()
		cancel()
		return
	}
	c.parts[name] = p
	c.mu.Unlock()
	go func() {
		defer close(p.done)
		defer cancel()
		if err := run(ctx); err != nil {
			select {
			case c.errs <- err:
			default:
			}
		}
	}()
}

// stop ends the named part and returns when it is gone.
func (c *crew) stop(name string) {
	c.mu.Lock()
	p := c.parts[name]
	delete(c.parts, name)
	c.mu.Unlock()
	if p != nil {
		p.cancel()
		<-p.done
	}
}

// stopAll ends every part at once and returns when all are gone.
func (c *crew) stopAll() {
	c.mu.Lock()
	parts := c.parts
	c.parts = nil
	c.mu.Unlock()
	for _, p := range parts {
		p.cancel()
	}
	for _, p := range parts {
		<-p.done
	}
}
