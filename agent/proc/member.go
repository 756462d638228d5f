package proc

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Member is one process of a group. Two that are equal are the same process.
type Member struct {
	PID   int
	start uint64 // clock ticks since boot
}

// Members lists the living processes of a group but its leader. It reads all of
// /proc: a process whose parent ended is found as well.
func Members(pgid int) []Member {
	var list []Member
	for _, pid := range members(pgid) {
		if s, err := readStat(pid); err == nil && pid != pgid {
			list = append(list, Member{pid, s.start})
		}
	}
	return list
}

// Alive reports whether the process has not ended.
func (m Member) Alive() bool {
	s, err := readStat(m.PID)
	return err == nil && s.start == m.start && s.alive()
}

// Signal sends a signal to this process and never to another one that has its
// number by now. One that has ended is no error.
func (m Member) Signal(sig unix.Signal) error {
	fd, err := unix.PidfdOpen(m.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", m.PID, err)
	}
	defer unix.Close(fd)
	if !m.Alive() {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", m.PID, err)
	}
	return nil
}
