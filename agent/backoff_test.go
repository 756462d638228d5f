package agent

import (
	"testing"
	"time"
)

func TestPauseGrowsToItsLimit(t *testing.T) {
	for tries, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 8: 256 * time.Second, 9: 5 * time.Minute, 64: 5 * time.Minute, 1 << 40: 5 * time.Minute} {
		for range 100 {
			if got := pause(time.Second, 5*time.Minute, tries); got > want || got < want*4/5 {
				t.Errorf("pause %d is %v, want %v less at most a fifth", tries, got, want)
			}
		}
	}
}
