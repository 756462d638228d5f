package chaostest

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func soakCases() []faultCase {
	return []faultCase{{
		name: "soak", slaves: 3,
		says:  "three minutes of faults at random, one every five seconds, under edits at random",
		disks: []string{"", "", "size=256m,mode=0755"},
		fault: func(w *world) {
			all := w.nemeses(w.slaves[1].newWire())
			w.suffer(all, time.Now().Add(time.Duration(rounds(180, 10))*time.Second))
		},
		bound: 5 * time.Minute,
	}, longSoak()}
}

// nemesis does something bad and returns how to mend it.
type nemesis struct {
	name string
	do   func() (mend func())
}

func (w *world) nemeses(wire *wire) []nemesis {
	return []nemesis{
		{"agent killed", func() func() { w.agent.kill(); return w.startAgent }},
		{"agent stopped", func() func() { w.stopAgent(); return w.startAgent }},
		{"agent suspended", func() func() {
			w.agent.signal(syscall.SIGSTOP)
			return func() { w.agent.signal(syscall.SIGCONT) }
		}},
		{"rsync killed", func() func() { w.kill(children(w.agent.pid)); return func() {} }},
		{"receiver killed", func() func() {
			s := w.slaves[w.rand.IntN(len(w.slaves))]
			s.recv.kill()
			return func() { s.startReceiver(w) }
		}},
		{"session killed", func() func() { w.kill(w.slaves[0].sessions()); return func() {} }},
		{"link cut", func() func() { w.slaves[0].cut(); return w.slaves[0].mend }},
		{"frames lost and late", func() func() {
			wire.loss.Store(50)
			wire.delay.Store(int64(20 * time.Millisecond))
			return func() { wire.loss.Store(0); wire.delay.Store(0) }
		}},
		{"disk full", func() func() {
			fill := filepath.Join(w.slaves[2].tree, "fill")
			w.tamper(func() { _ = os.WriteFile(fill, make([]byte, 300<<20), 0o600) })
			return func() { _ = os.Remove(fill); w.amend() } // unless a sweep has done so
		}},
		{"disk read-only", func() func() {
			_ = unix.Mount("", w.slaves[2].tree, "", unix.MS_REMOUNT|unix.MS_RDONLY, "") // busy while something is written
			return func() { w.remountSlave(2, 0, "") }
		}},
		{"password changed", func() func() {
			w.secrets("secret", "other")
			return func() { w.secrets("other", "secret") }
		}},
		{"configuration read again", func() func() {
			w.agent.signal(syscall.SIGHUP)
			return func() { w.file(fmt.Sprintf("reread%d", w.rand.IntN(5)), 100) }
		}},
	}
}
