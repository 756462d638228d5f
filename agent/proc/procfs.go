package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// stat is what /proc/PID/stat tells about a process.
type stat struct {
	state byte
	pgrp  int
	start uint64 // clock ticks since boot
}

var errStat = errors.New("unexpected content")

// parseStat reads the content of /proc/PID/stat (proc_pid_stat(5)). The second
// field is the command's name in parentheses and may hold anything.
func parseStat(b []byte) (stat, error) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return stat{}, errStat
	}
	f := bytes.Fields(b[i+1:]) // f[0] is field 3
	if len(f) < 20 || len(f[0]) != 1 {
		return stat{}, errStat
	}
	pgrp, err := strconv.Atoi(string(f[2]))
	if err != nil {
		return stat{}, errStat
	}
	start, err := strconv.ParseUint(string(f[19]), 10, 64)
	if err != nil {
		return stat{}, errStat
	}
	return stat{state: f[0][0], pgrp: pgrp, start: start}, nil
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

// alive is false for what only waits to be reaped.
func (s stat) alive() bool { return s.state != 'Z' && s.state != 'X' }

// members lists the living processes of a group.
func members(pgid int) []int {
	var pids []int
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if group, err := unix.Getpgid(pid); err != nil || group != pgid { // far cheaper than reading a file
			continue
		}
		if s, err := readStat(pid); err == nil && s.pgrp == pgid && s.alive() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// carries reports whether the process was started with key=value in its
// environment.
func carries(pid int, key, value string) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false
	}
	want := []byte(key + "=" + value)
	for v := range bytes.SplitSeq(b, []byte{0}) {
		if bytes.Equal(v, want) {
			return true
		}
	}
	return false
}

// bootID tells one boot from another; start times count from there.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return string(bytes.TrimSpace(b)), nil
}
