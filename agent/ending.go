package agent

import (
	"context"
	"sync"
	"time"

	"syncagent/agent/tree"
)

// lastLookMost bounds how long an agent that was told to stop waits for what its
// watchers have still to tell.
const lastLookMost = 2 * time.Second

// lastLook has everything marked that changed until now, so that the journals hold it:
// the next agent need not sweep at its start.
func (m *Master) lastLook() {
	ctx, cancel := context.WithTimeout(context.Background(), lastLookMost)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range m.list() {
		wg.Go(func() { s.lastLook(ctx) })
	}
	wg.Wait()
}

// lastLook marks what somebody still writes, too, and everything if the watcher cannot
// tell.
func (s *Source) lastLook(ctx context.Context) {
	marks := []tree.Mark{{Path: tree.Root, What: tree.Deep}}
	if w := s.watches(); w != nil && s.Blocked() == "" {
		if _, err := w.Flush(ctx); err == nil {
			marks = nil
			for _, p := range s.growing(tree.Root) {
				marks = append(marks, tree.Mark{Path: p, What: tree.Content})
			}
		}
	}
	for _, r := range s.Replicas() {
		for _, m := range marks {
			r.Mark(m.Path, m.What, false)
		}
	}
}
