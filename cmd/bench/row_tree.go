package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

const (
	rewriteFiles = 1000
	rewrites     = 5000
	rewriteSize  = 4096
	rewritePace  = 500 * time.Microsecond

	renameFiles = 2000
	renameSize  = 200 << 20

	largeSize = 512 << 20
)

// bySeconds is the one line of a row that takes so many seconds.
func bySeconds(key, title string, w wanted) []line {
	return []line{{key, title, "s", median, w}}
}

// timed measures from the beginning of work until all slaves are equal.
func timed(key string, work func(ctx context.Context, r *rig) error, gone ...string) func(context.Context, *rig, side) (sample, error) {
	return func(ctx context.Context, r *rig, s side) (sample, error) {
		begin := time.Now()
		if err := work(ctx, r); err != nil {
			return nil, err
		}
		return until(ctx, r, s, key, begin, gone...)
	}
}

// until measures from begin until all slaves are equal.
func until(ctx context.Context, r *rig, s side, key string, begin time.Time, gone ...string) (sample, error) {
	pushed := startPush(ctx, r, s, "")
	end, err := r.settle(ctx, gone...)
	if err := errors.Join(err, <-pushed); err != nil {
		return nil, err
	}
	return sample{key: {end.Sub(begin).Seconds()}}, nil
}

func burstRow() row {
	return row{
		name:  "burst",
		lines: bySeconds("burst", "the Go installation's src tree copied in", wanted{1.3, floorName}),
		fill:  func(ctx context.Context, r *rig) error { _, err := r.env.goTree(ctx); return err },
		measure: timed("burst", func(ctx context.Context, r *rig) error {
			from, err := r.env.goTree(ctx)
			return errors.Join(err, r.env.copyTree(ctx, from, r.at("src")))
		}),
	}
}

func removeRow() row {
	return row{
		name:  "remove",
		lines: bySeconds("remove", "that tree removed", wanted{factor: 1}),
		fill: func(ctx context.Context, r *rig) error {
			from, err := r.env.goTree(ctx)
			return errors.Join(err, r.everywhere(func(dir string) error {
				return r.env.copyTree(ctx, from, filepath.Join(dir, "src"), "--preserve=all")
			}))
		},
		measure: timed("remove", func(_ context.Context, r *rig) error { return os.RemoveAll(r.at("src")) }, "src"),
	}
}

func renameRow() row {
	return row{
		name:  "rename",
		lines: bySeconds("rename", "a directory of 2,000 files, 200 MiB, renamed", wanted{1, floorName}),
		fill: func(ctx context.Context, r *rig) error {
			return fillFiles(ctx, r, "before", renameFiles, renameSize)
		},
		measure: timed("rename", func(_ context.Context, r *rig) error {
			return os.Rename(r.at("before"), r.at("after"))
		}, "before"),
	}
}

// fillFiles makes a directory of files that is the same on all ends.
func fillFiles(ctx context.Context, r *rig, name string, n int, size int64) error {
	if err := writeFiles(r.at(name), n, size); err != nil {
		return err
	}
	for _, s := range r.slaves {
		if err := r.env.copyTree(ctx, r.at(name), filepath.Join(s.tree, name), "--preserve=all"); err != nil {
			return err
		}
	}
	return nil
}

// everywhere makes the same on the source and all slaves.
func (r *rig) everywhere(make func(dir string) error) error {
	for _, dir := range append([]string{r.source}, r.trees()...) {
		if err := make(dir); err != nil {
			return err
		}
	}
	return nil
}

func rewritesRow() row {
	return row{
		name:  "rewrites",
		lines: bySeconds("rewrites", "5,000 rewrites of 1,000 files of equal size, after the last write", wanted{factor: 1}),
		fill: func(ctx context.Context, r *rig) error {
			return fillFiles(ctx, r, "files", rewriteFiles, rewriteFiles*rewriteSize)
		},
		measure: func(ctx context.Context, r *rig, s side) (sample, error) {
			if err := rewrite(ctx, r.at("files")); err != nil {
				return nil, err
			}
			return until(ctx, r, s, "rewrites", time.Now())
		},
	}
}

// rewrite writes files anew in no order, as an application does that is busy
// for some seconds.
func rewrite(ctx context.Context, dir string) error {
	tick := time.NewTicker(10 * rewritePace)
	defer tick.Stop()
	order := rand.New(rand.NewPCG(1, 2))
	content, from := make([]byte, rewriteSize), noise(2)
	for i := range rewrites {
		_, _ = from.Read(content)
		file := filepath.Join(dir, fmt.Sprintf("file%04d", order.IntN(rewriteFiles)))
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return err
		}
		if i%10 == 9 {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

func largeRow() row {
	return row{
		name: "large",
		lines: append(bySeconds("large", "one file of 512 MiB copied in", wanted{1.3, floorName}),
			line{"sent", "that file, bytes on the wire for each it has", "x", median, wanted{factor: 1.1}}),
		fill: func(_ context.Context, r *rig) error {
			if there(largeInput(r)) {
				return nil
			}
			return writeNoise(largeInput(r), largeSize, noise(3))
		},
		measure: measureLarge,
	}
}

func largeInput(r *rig) string { return filepath.Join(r.env.dir, "input-large") }

// measureLarge counts on the loopback interface, where a transfer that was
// broken off shows too.
func measureLarge(ctx context.Context, r *rig, s side) (sample, error) {
	before, err := loopbackBytes()
	if err != nil {
		return nil, err
	}
	result, err := timed("large", func(ctx context.Context, r *rig) error {
		return r.env.copyTree(ctx, largeInput(r), r.at("large"))
	})(ctx, r, s)
	if err != nil {
		return nil, err
	}
	after, err := loopbackBytes()
	result["sent"] = []float64{float64(after-before) / float64(int64(len(r.slaves))*largeSize)}
	return result, err
}
