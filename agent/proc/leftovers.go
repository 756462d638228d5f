package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// leftoverWait bounds how long EndLeftovers waits for killed processes.
const leftoverWait = 10 * time.Second

// EndLeftovers kills the recorded process groups that still are what was
// recorded and waits until they are gone; it returns how many groups it had to
// kill. A missing record is nothing to do. The record is removed on success
// and kept when something could not be ended, so that the next call tries
// again.
//
// Call it while no Spawner uses the record.
func EndLeftovers(record string) (ended int, err error) {
	boot, err := bootID()
	if err != nil {
		return 0, err
	}
	f, err := os.Open(record)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open process record: %w", err)
	}
	groups, err := parseRecord(f, boot)
	_ = f.Close()
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, g := range groups {
		killed, err := g.end()
		if killed {
			ended++
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return ended, err
	}
	if err := os.Remove(record); err != nil {
		return ended, fmt.Errorf("remove process record: %w", err)
	}
	return ended, nil
}

// end kills the group's members until none is left.
func (g group) end() (killed bool, err error) {
	deadline := time.Now().Add(leftoverWait)
	for {
		n, err := g.kill()
		if err != nil {
			return killed, fmt.Errorf("end left-over process group %d (%s): %w", g.pid, g.name, err)
		}
		if n == 0 {
			return killed, nil
		}
		killed = true
		if time.Now().After(deadline) {
			return killed, fmt.Errorf("end left-over process group %d (%s): it does not die, "+
				"look for a hung disk with: ps -o pid,stat,wchan,cmd -g %d", g.pid, g.name, g.pid)
		}
		time.Sleep(poll)
	}
}

// kill sends KILL to what is proven ours and returns how many those were.
func (g group) kill() (int, error) {
	pids := members(g.pid)
	ours := 0
	leader := false
	if s, err := readStat(g.pid); err == nil {
		leader = s.start == g.start
	}
	for _, pid := range pids {
		found, err := g.killOne(pid, leader)
		if err != nil {
			return ours, err
		}
		if found {
			ours++
		}
	}
	return ours, nil
}

// killOne holds the process by a descriptor while it looks whose it is, so
// that a pid used again meanwhile is never hit.
func (g group) killOne(pid int, leader bool) (bool, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	s, err := readStat(pid)
	if err != nil || s.pgrp != g.pid {
		return false, nil
	}
	if !leader && !carries(pid, TokenEnv, g.token) {
		return false, nil
	}
	err = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return false, fmt.Errorf("kill process %d: %w", pid, err)
	}
	return true, nil
}
