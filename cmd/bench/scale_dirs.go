package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// sweepTime is what the first comparison of everything may take.
const sweepTime = 15 * time.Minute

func scaleDirs(ctx context.Context, env *environment) (curveResult, error) {
	res := curveResult{
		title: "Directories",
		about: "One slave that is equal when the agent starts. The first change is made at the start, in the last directory.",
		columns: []string{
			"directories", "until the first change arrives, s", "memory of the agent, MB",
			"processor time of the agent until it rests, s", "until it rests, s",
		},
		draw: []drawing{
			{file: "bench-dirs-start.svg", column: 1, logY: true},
			{file: "bench-dirs-memory.svg", column: 2},
			{file: "bench-dirs-cpu.svg", column: 3, logY: true},
		},
	}
	sizes := []int{1_000, 10_000, 100_000}
	if env.opt.huge {
		sizes = append(sizes, 1_000_000)
	}
	for _, n := range sizes {
		row, err := atDirsAllowed(ctx, env, n)
		if err != nil {
			return res, fmt.Errorf("%d directories: %w", n, err)
		}
		env.say("scale-dirs  %8d  first change after %s s, %s MB", n, number(row[1]), number(row[2]))
		res.rows = append(res.rows, row)
	}
	return res, nil
}

// atDirsAllowed lets the agent have the watches it needs, if the smaller sizes
// showed that it needs any.
func atDirsAllowed(ctx context.Context, env *environment, n int) ([]float64, error) {
	if !strings.Contains(env.machine.watcher, "fanotify") {
		restore, err := raiseWatchLimit(n)
		if err != nil {
			env.say("scale-dirs: %v", err)
		}
		defer restore()
	}
	return atDirs(ctx, env, n)
}

// atDirs measures one point of the curve.
func atDirs(ctx context.Context, env *environment, n int) ([]float64, error) {
	r, err := newRig(env, 1)
	if err != nil {
		return nil, err
	}
	defer r.close()
	s := &ours{}
	if err := errors.Join(fillDirs(n)(ctx, r), s.prepare(ctx, r)); err != nil {
		return nil, err
	}
	begin := time.Now()
	first, err := startUp(ctx, r, s, n)
	if err != nil {
		return nil, errors.Join(err, r.grumbles())
	}
	if err := agentRests(ctx, r, sweepTime); err != nil {
		return nil, err
	}
	rested := time.Since(begin)
	cpu, err := cpuTime(r.master.PID())
	if err != nil {
		return nil, err
	}
	mb, err := memory(r.master.PID())
	if err != nil {
		return nil, err
	}
	if snap, err := agentStatus(ctx, r); err == nil {
		env.machine.watcher = watcher(snap)
	}
	_, err = r.settle(ctx)
	return []float64{float64(n), first.Seconds(), mb, cpu.Seconds(), rested.Seconds()}, err
}

const watchLimit = "/proc/sys/fs/inotify/max_user_watches"

// raiseWatchLimit lets inotify watch so many directories, and some more that
// others watch. restore puts the old limit back and may be called in any case.
func raiseWatchLimit(dirs int) (restore func(), err error) {
	restore = func() {}
	old := firstLine(watchLimit)
	n, err := strconv.Atoi(old)
	if err != nil {
		return restore, fmt.Errorf("read the limit of watches: %w", err)
	}
	if n >= 2*dirs {
		return restore, nil
	}
	if err := os.WriteFile(watchLimit, []byte(strconv.Itoa(2*dirs)), 0); err != nil {
		return restore, fmt.Errorf("raise the limit of watches: %w: as root, \"sysctl fs.inotify.max_user_watches=%d\"", err, 2*dirs)
	}
	return func() { _ = os.WriteFile(watchLimit, []byte(old), 0) }, nil
}
