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
	rewriteFiles = 1000
	rewrites     = 5000
	rewriteSize  = 4096
	busyPace     = 500 * time.Microsecond
	// rewriteBound: who compares times by whole seconds takes an old version for
	// the new one and never looks again.
	rewriteBound = 30 * time.Second

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
	return rewriteRow("rewrites", "5,000 rewrites of 1,000 files of equal size, after the last write", 0)
}

func busyRow() row {
	return rewriteRow("busy", "the same in 2.5 seconds, after the last write", busyPace)
}

func rewriteRow(name, title string, pace time.Duration) row {
	return row{
		name:  name,
		lines: bySeconds(name, title, wanted{factor: 1}),
		bound: rewriteBound,
		fill: func(ctx context.Context, r *rig) error {
			return fillFiles(ctx, r, "files", rewriteFiles, rewriteFiles*rewriteSize)
		},
		measure: func(ctx context.Context, r *rig, s side) (sample, error) {
			if err := rewrite(ctx, r.at("files"), pace); err != nil {
				return nil, err
			}
			return until(ctx, r, s, name, time.Now())
		},
	}
}

// rewrite writes files anew in no order, each so long after the one before.
func rewrite(ctx context.Context, dir string, each time.Duration) error {
	begin := time.Now()
	order := rand.New(rand.NewPCG(1, 2))
	content, from := make([]byte, rewriteSize), noise(2)
	for i := range rewrites {
		_, _ = from.Read(content)
		file := filepath.Join(dir, fmt.Sprintf("file%04d", order.IntN(rewriteFiles)))
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return err
		}
		if early := time.Duration(i)*each - time.Since(begin); early > time.Millisecond {
			if err := pause(ctx, early); err != nil {
				return err
			}
		}
	}
	return nil
}

func largeRow() row {
	return row{
		name: "large",
		lines: append(bySeconds("large", "one file of 512 MiB copied in", wanted{1.3, floorName}),
			line{"wire", "that file, bytes on the wire for each it has", "x", median, wanted{factor: 1.05}},
			line{"sent", "that file, times it was put in place on a slave", "x", median, wanted{factor: 1}}),
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

// measureLarge counts bytes on the loopback interface, where a transfer that was
// broken off shows too, and how often a slave got the file: what was sent
// before it was complete costs few bytes the second time, but much work.
func measureLarge(ctx context.Context, r *rig, s side) (sample, error) {
	before, err := loopbackBytes()
	if err != nil {
		return nil, err
	}
	seen := map[uint64]bool{}
	end := r.background(ctx, func(ctx context.Context) { seeVersions(ctx, filepath.Join(r.slaves[0].tree, "large"), seen) })
	result, err := timed("large", func(ctx context.Context, r *rig) error {
		return r.env.copyTree(ctx, largeInput(r), r.at("large"))
	})(ctx, r, s)
	if err != nil {
		return nil, err
	}
	after, err := loopbackBytes()
	end()
	result["wire"] = []float64{float64(after-before) / float64(int64(len(r.slaves))*largeSize)}
	result["sent"] = []float64{float64(len(seen))}
	return result, err
}

// seeVersions collects the inodes that stand under a path: rsync renames a new
// one into place each time.
func seeVersions(ctx context.Context, path string, seen map[uint64]bool) {
	for {
		var st syscall.Stat_t
		if syscall.Lstat(path, &st) == nil {
			seen[st.Ino] = true
		}
		if pause(ctx, cursorPoll) != nil {
			return
		}
	}
}
