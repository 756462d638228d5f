package provision

import "errors"

// ErrReadOnly is what every change of a ReadOnly System fails with.
var ErrReadOnly = errors.New("a check run writes nothing")

// ReadOnly returns sys without its means to change anything. Taking an
// existing lock is allowed, creating one is not.
func ReadOnly(sys System) System {
	refuse := func(op, _ string) error {
		if opWrites(op) {
			return ErrReadOnly
		}
		return nil
	}
	return Faulty(sys, refuse)
}

// opWrites tells whether an operation of Fault changes the host.
func opWrites(op string) bool {
	switch op {
	case OpLstat, OpRead, OpList, OpLock, OpUnitState:
		return false
	}
	return true
}
