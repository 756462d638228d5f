package watch

import "time"

// alarm is a timer that is set again only when its time changes, so that a loop
// that takes many events may ask for it each time.
type alarm struct {
	timer *time.Timer
	due   time.Time
}

// at returns a channel that delivers at or after due, never when not ok. What is
// delivered may belong to an earlier due.
func (a *alarm) at(due time.Time, ok bool) <-chan time.Time {
	switch {
	case !ok:
		return nil
	case a.timer == nil:
		a.timer = time.NewTimer(time.Until(due))
	case !due.Equal(a.due):
		a.timer.Reset(time.Until(due))
	}
	a.due = due
	return a.timer.C
}
