package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	latencySize = 4096
	// latencyPoll is how often a slave's directory is looked at.
	latencyPoll = 100 * time.Microsecond
	// latencyRest lets everything fall asleep between two changes. It varies so
	// that no timer of anybody's keeps step with it.
	latencyRest = 80 * time.Millisecond
)

func latencyRow() row {
	return row{
		name: "latency",
		lines: []line{
			{"latency", "one 4 KiB file until all three have it, p50", "ms", p50, wanted{0.1, lsyncdName}},
			{"latency", "one 4 KiB file until all three have it, p99", "ms", p99, wanted{0.2, lsyncdName}},
		},
		measure: measureLatency,
	}
}

func measureLatency(ctx context.Context, r *rig, s side) (sample, error) {
	var took []float64
	for i := range r.env.opt.reps {
		if err := getReady(r, s); err != nil {
			return nil, err
		}
		if err := pause(ctx, latencyRest+rand.N(latencyRest)); err != nil {
			return nil, err
		}
		d, err := oneFile(ctx, r, s, fmt.Sprintf("file%05d", i))
		if err != nil {
			return nil, err
		}
		took = append(took, float64(d.Microseconds())/1000)
	}
	_, err := r.settle(ctx)
	return sample{"latency": took}, err
}

func getReady(r *rig, s side) error {
	if w, ok := s.(warmer); ok {
		return w.warm(r)
	}
	return nil
}

// oneFile writes a file and returns when the last slave has it.
func oneFile(ctx context.Context, r *rig, s side, name string) (time.Duration, error) {
	content := make([]byte, latencySize)
	_, _ = noise(byte(len(name))).Read(content)
	begin := time.Now()
	if err := os.WriteFile(r.at(name), content, 0o644); err != nil {
		return 0, err
	}
	pushed := startPush(ctx, r, s, name)
	took, err := awaitSize(ctx, r, name, latencySize, begin)
	return took, errors.Join(err, <-pushed)
}

// startPush tells a side that notices nothing.
func startPush(ctx context.Context, r *rig, s side, rel string) <-chan error {
	done := make(chan error, 1)
	p, ok := s.(pusher)
	if !ok {
		done <- nil
		return done
	}
	go func() { done <- p.push(ctx, r, rel) }()
	return done
}

// awaitSize polls until each slave has the file in its full size; rsync renames
// it into place when it is complete.
func awaitSize(ctx context.Context, r *rig, name string, size int64, begin time.Time) (time.Duration, error) {
	waiting := r.trees()
	for {
		for len(waiting) > 0 {
			var st syscall.Stat_t
			if syscall.Lstat(filepath.Join(waiting[0], name), &st) != nil || st.Size != size {
				break
			}
			waiting = waiting[1:]
		}
		took := time.Since(begin)
		switch {
		case len(waiting) == 0:
			return took, nil
		case took > r.bound:
			return took, fmt.Errorf("%w: %s is not there", errNever, name)
		case ctx.Err() != nil:
			return took, ctx.Err()
		}
		time.Sleep(latencyPoll)
	}
}
