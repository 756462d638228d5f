package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// settleTime lets the runs of the preparation end, and the second: some
// programs compare times by whole seconds.
const settleTime = 1200 * time.Millisecond

// measureAll goes round by round, so that a machine that gets slower does not
// make one column slower than another.
func measureAll(ctx context.Context, env *environment, list []kind, res *results) error {
	for round := range env.opt.rounds {
		for _, row := range rows() {
			if !env.opt.wants(row.name) || row.once && round > 0 {
				continue
			}
			for i := range list {
				k := list[(i+round)%len(list)]
				if !k.rows(row.name) {
					continue
				}
				if err := measureOne(ctx, env, row, k, round, res); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// measureOne notes what came out. Only an interruption ends everything.
func measureOne(ctx context.Context, env *environment, row row, k kind, round int, res *results) error {
	got, watched, err := onRig(ctx, env, row, k)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	head := fmt.Sprintf("round %d/%d  %-9s %-20s", round+1, env.opt.rounds, row.name, k.name)
	if err != nil {
		env.say("%s %v", head, err)
		res.failed(row, k.name, err)
		return nil
	}
	env.say("%s %s", head, describe(row, got))
	res.add(k.name, got)
	if watched != "" {
		env.machine.watcher = watched
	}
	return nil
}

// onRig measures on a rig of its own. watched names what ours watched with.
func onRig(ctx context.Context, env *environment, row row, k kind) (got sample, watched string, err error) {
	r, err := newRig(env, 3)
	if err != nil {
		return nil, "", err
	}
	defer r.close()
	if row.bound > 0 {
		r.bound = min(r.bound, row.bound)
	}
	s := k.make()
	if err := getLive(ctx, r, row, s); err != nil {
		return nil, "", errors.Join(err, r.grumbles())
	}
	_, mine := s.(*ours)
	got, err = row.measure(ctx, r, s)
	if err != nil && (mine || !errors.Is(err, errNever)) {
		return nil, "", errors.Join(err, r.grumbles())
	}
	if mine {
		snap, err := agentStatus(ctx, r)
		return got, watcher(snap), err
	}
	return got, "", err
}

// grumbles is what the master said last, nil when there is none.
func (r *rig) grumbles() error {
	for _, name := range []string{"agent", "lsyncd", "inotifywait"} {
		if there(r.log(name)) {
			return fmt.Errorf("%s said: %s", name, lastLines(r.log(name)))
		}
	}
	return nil
}

// getLive brings a rig to where the measurement begins.
func getLive(ctx context.Context, r *rig, row row, s side) error {
	if row.fill != nil {
		if err := row.fill(ctx, r); err != nil {
			return err
		}
	}
	if err := s.prepare(ctx, r); err != nil {
		return err
	}
	if row.cold {
		return nil
	}
	if err := s.launch(ctx, r); err != nil {
		return err
	}
	if err := awaitLive(ctx, r, s); err != nil {
		return err
	}
	return pause(ctx, settleTime)
}

// describe is one sample in a few words.
func describe(row row, s sample) string {
	var words []string
	for _, l := range row.lines {
		if v := l.sum(s[l.key]); !math.IsNaN(v) {
			words = append(words, number(v)+" "+l.unit)
		}
	}
	return strings.Join(words, ", ")
}
