package watch

import (
	"testing"
	"time"
)

func TestCrowd(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, tt := range []struct {
		name  string
		reads int
		gap   time.Duration
		want  bool
	}{
		{"a few at once", crowdReads, 0, false},
		{"many at once", crowdReads + 1, crowdGap / 2, true},
		{"many, one now and then", 10 * crowdReads, 2 * crowdGap, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c crowd
			at, got := now, false
			for range tt.reads {
				at = at.Add(tt.gap)
				got = c.joins(at, true)
			}
			if got != tt.want {
				t.Errorf("crowd: %v", got)
			}
			if c.joins(at, false) {
				t.Error("waits for more where there was nothing to read")
			}
		})
	}
}
