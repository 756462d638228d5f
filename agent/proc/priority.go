package proc

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Priority is what children leave to others. The zero value changes nothing.
type Priority struct {
	Nice int // added to ours, 0 to 19
	IO   IOClass
}

// IOClass is a class of ioprio_set(2). Only some of the kernel's I/O schedulers
// (bfq, mq-deadline) heed it.
type IOClass int

// The classes that ask for less than the usual.
const (
	IOUnchanged  IOClass = 0
	IOBestEffort IOClass = 2 // at its lowest level
	IOIdle       IOClass = 3 // only while nobody else wants the disk
)

// See ioprio_set(2) and linux/ioprio.h.
const (
	ioprioWhoProcess = 1
	ioprioClassShift = 13
	ioprioLowest     = 7
)

// apply gives the calling thread the priority; what it starts inherits it, from its
// first instruction on. A thread cannot take it back.
func (p Priority) apply() error {
	if p.Nice != 0 {
		now, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
		if err != nil {
			return fmt.Errorf("ask for the nice value: %w", err)
		}
		// the system call itself returns 20 less the nice value
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, min(20-now+p.Nice, 19)); err != nil {
			return fmt.Errorf("set the nice value: %w", err)
		}
	}
	if p.IO == IOUnchanged {
		return nil
	}
	level := 0
	if p.IO == IOBestEffort {
		level = ioprioLowest
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, uintptr(int(p.IO)<<ioprioClassShift|level)); errno != 0 {
		return fmt.Errorf("set the I/O priority: %w", errno)
	}
	return nil
}
