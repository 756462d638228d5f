package supervise

import "context"

// aliveTries is how many questions in a row a child may leave unanswered: a busy
// host is slow, too, and to start the child again ends all it does.
const aliveTries = 3

// listen asks a child that is ready whether it still works. The channel gets one
// answer: why it does not, or nil when ctx ends.
func (s *Supervisor) listen(ctx context.Context) chan error {
	if s.cfg.Alive == nil {
		return nil
	}
	answer := make(chan error, 1)
	go func() {
		missed, rest := 0, s.cfg.AliveEvery
		for sleep(ctx, rest) {
			err := s.alive(ctx)
			if ctx.Err() != nil {
				break
			}
			if err == nil {
				missed, rest = 0, s.cfg.AliveEvery
			} else if missed, rest = missed+1, s.cfg.AliveAgain; missed == aliveTries {
				answer <- err
				return
			}
		}
		answer <- nil
	}()
	return answer
}

func (s *Supervisor) alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.AliveTimeout)
	defer cancel()
	return s.cfg.Alive(ctx)
}
