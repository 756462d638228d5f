package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// side is one way to keep the slaves equal to the source. A new one is made for
// each rig.
type side interface {
	// prepare launches the slaves' daemons and writes what the master needs.
	prepare(ctx context.Context, r *rig) error
	// launch starts the master and returns as soon as its process runs.
	launch(ctx context.Context, r *rig) error
}

// rester is a side that can say when it has come to rest.
type rester interface {
	rest(ctx context.Context, r *rig) error
}

// pusher is a side that notices nothing and is told.
type pusher interface {
	push(ctx context.Context, r *rig, rel string) error
}

// warmer is a pusher that gets ready before the change.
type warmer interface {
	warm(r *rig) error
}

// kind is a column of the table.
type kind struct {
	name string
	rows func(row string) bool
	make func() side
	// needs is a program; without it the column is left out.
	needs string
}

// Names of the columns.
const (
	floorName   = "floor"
	openName    = "floor, open"
	oursName    = "ours"
	lsyncdName  = "lsyncd"
	inotifyName = "inotifywait + rsync"
)

func kinds() []kind {
	every := func(string) bool { return true }
	byHand := func(row string) bool { return !slices.Contains(livingRows(), row) }
	return []kind{
		{floorName, byHand, func() side { return &floor{} }, "rsync"},
		{openName, func(row string) bool { return row == "latency" }, func() side { return &openFloor{} }, "rsync"},
		{oursName, every, func() side { return &ours{} }, "rsync"},
		{lsyncdName, every, func() side { return &lsyncd{} }, "lsyncd"},
		{inotifyName, every, func() side { return &inotify{} }, "inotifywait"},
	}
}

// presentKinds drops the columns that are not wanted and those whose program
// is missing, which missing names.
func presentKinds(wanted []string) (list []kind, missing []string, err error) {
	all := kinds()
	for _, name := range wanted {
		if !slices.ContainsFunc(all, func(k kind) bool { return k.name == name }) {
			return nil, nil, fmt.Errorf("-sides: %q is none: %s", name, strings.Join(names(all), "; "))
		}
	}
	for _, k := range all {
		if len(wanted) > 0 && !slices.Contains(wanted, k.name) {
			continue
		}
		if _, err := exec.LookPath(k.needs); err != nil {
			missing = append(missing, k.needs)
			continue
		}
		list = append(list, k)
	}
	if len(list) == 0 {
		return nil, missing, errors.New("nothing to measure: install rsync")
	}
	return list, missing, nil
}

func names(list []kind) []string {
	var out []string
	for _, k := range list {
		out = append(out, k.name)
	}
	return out
}

// rsyncTo is rsync by hand: what to send where, and with which options.
func rsyncTo(r *rig, s slave, opts ...string) *exec.Cmd {
	args := append([]string{"--password-file=" + r.pass}, opts...)
	return exec.Command("rsync", append(args, r.source+"/", s.url())...)
}

// awaitLive returns when changes get through to every slave: one made before
// the launch and one made after it have arrived.
func awaitLive(ctx context.Context, r *rig, s side) error {
	const probe = "probe"
	if p, ok := s.(pusher); ok {
		return p.push(ctx, r, "")
	}
	for i := range 2 {
		name := fmt.Sprintf("%s%d", probe, i)
		if err := os.WriteFile(r.at(name), []byte(name), 0o644); err != nil {
			return fmt.Errorf("write probe: %w", err)
		}
		if err := awaitFile(ctx, r, name); err != nil {
			return err
		}
	}
	if q, ok := s.(rester); ok {
		return q.rest(ctx, r)
	}
	return nil
}

// awaitFile waits until each slave has a file.
func awaitFile(ctx context.Context, r *rig, rel string) error {
	ctx, cancel := context.WithTimeout(ctx, r.bound)
	defer cancel()
	for _, s := range r.slaves {
		for !there(filepath.Join(s.tree, rel)) {
			if err := pause(ctx, launchPoll); err != nil {
				return fmt.Errorf("%w: %s did not reach %s", errNever, rel, s.host)
			}
		}
	}
	return nil
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
