package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	startDirs = 20_000
	// tickEvery is how often something new appears in the last directory.
	tickEvery = 20 * time.Millisecond
	// afterRest lets the last runs end.
	afterRest = time.Second
)

func startRow() row {
	return row{
		name:  "start",
		cold:  true,
		lines: bySeconds("start", "20,000 directories: from start until a change in the last one arrives", wanted{factor: 1.5}),
		fill:  fillDirs(startDirs),
		measure: func(ctx context.Context, r *rig, s side) (sample, error) {
			took, err := startUp(ctx, r, s, startDirs)
			if err != nil {
				return nil, err
			}
			_, err = r.settle(ctx)
			return sample{"start": {took.Seconds()}}, err
		},
	}
}

func fillDirs(n int) func(context.Context, *rig) error {
	return func(_ context.Context, r *rig) error {
		return r.everywhere(func(dir string) error { return makeDirs(dir, n) })
	}
}

// startUp launches the master while a new file appears in the last directory
// every now and then, and returns how long it took until the first one of them
// stood on the last slave.
func startUp(ctx context.Context, r *rig, s side, dirs int) (time.Duration, error) {
	last := leaf(dirs - 1)
	begin := time.Now()
	if err := s.launch(ctx, r); err != nil {
		return 0, err
	}
	for i := 0; ; i++ {
		took := time.Since(begin)
		if arrived(r, last) {
			return took, nil
		}
		if took > r.bound {
			return took, fmt.Errorf("%w: no change in %s arrives", errNever, last)
		}
		if err := os.WriteFile(r.at(fmt.Sprintf("%s/tick%05d", last, i)), nil, 0o644); err != nil {
			return took, err
		}
		if err := untilNext(ctx, r, last, tickEvery); err != nil {
			return took, err
		}
	}
}

// untilNext waits, and returns early when everything has arrived.
func untilNext(ctx context.Context, r *rig, last string, d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end) && !arrived(r, last); {
		if err := pause(ctx, cursorPoll); err != nil {
			return err
		}
	}
	return nil
}

// arrived reports whether each slave has something new in its last directory.
func arrived(r *rig, last string) bool {
	for _, s := range r.slaves {
		names, err := os.ReadDir(filepath.Join(s.tree, last))
		if err != nil || len(names) == 0 || !strings.HasPrefix(names[len(names)-1].Name(), "tick") {
			return false
		}
	}
	return true
}

func memoryRow() row {
	return row{
		name:  "memory",
		once:  true,
		lines: []line{{"memory", "memory of the watching process, 20,000 directories", "MB", median, wanted{}}},
		fill:  fillDirs(startDirs),
		measure: func(ctx context.Context, r *rig, s side) (sample, error) {
			if err := pause(ctx, afterRest); err != nil {
				return nil, err
			}
			mb, err := memory(r.master.PID())
			_, never := r.settle(ctx)
			return sample{"memory": {mb}}, errors.Join(err, never)
		},
	}
}

func idleRow() row {
	return row{
		name: "idle",
		once: true,
		lines: []line{
			{"idle", "wake-ups a second of the watching process while idle", "/s", median, wanted{factor: 0.2}},
			{"receiver", "wake-ups a second of a slave's receiver while idle", "/s", median, wanted{factor: 0.2}},
		},
		measure: measureIdle,
	}
}

func measureIdle(ctx context.Context, r *rig, s side) (sample, error) {
	opt := r.env.opt
	if err := pause(ctx, opt.idleAfter); err != nil {
		return nil, err
	}
	pids := map[string]int{"idle": r.master.PID()}
	if o, ok := s.(*ours); ok {
		pids["receiver"] = o.receivers[0].PID()
	}
	before, err := countAll(pids)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, opt.idleFor); err != nil {
		return nil, err
	}
	after, err := countAll(pids)
	if err != nil {
		return nil, err
	}
	result := sample{}
	for key := range pids {
		result[key] = []float64{float64(after[key]-before[key]) / opt.idleFor.Seconds()}
	}
	_, err = r.settle(ctx)
	return result, err
}

func countAll(pids map[string]int) (map[string]int64, error) {
	counts := map[string]int64{}
	for key, pid := range pids {
		n, err := wakeups(pid)
		if err != nil {
			return nil, err
		}
		counts[key] = n
	}
	return counts, nil
}
