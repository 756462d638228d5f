package chaostest

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func upgradeCases() []faultCase {
	return []faultCase{
		{
			name: "upgraded", slaves: 2,
			says: "the program's file is replaced 5 times under edits at random; the agent is started again with it, then each receiver",
			fault: func(w *world) {
				w.program = filepath.Join(w.dir, "program")
				for range rounds(5, 2) {
					w.installProgram()
					w.letPass(time.Second)
					w.stopAgent()
					w.startAgent()
					for _, s := range w.slaves {
						w.letPass(time.Second)
						s.stopReceiver(w)
						s.startReceiver(w)
					}
				}
			},
		},
		{
			name: "partition", slaves: 2, quiet: true, settings: "rsync: {timeout: 5s}\n",
			says: "one slave is cut off in the middle of a file for half a minute, six times the time-out, so that both ends give up; " +
				"newer content follows, and no session of before holds a connection 15 s after",
			fault: func(w *world) {
				w.slaves[0].shape("rate 8mbit burst 32kbit latency 400ms")
				w.file("big.bin", 8<<20)
				w.midFile(256 << 10)
				before := w.slaves[0].sessions()
				w.slaves[0].cut()
				w.file("big.bin", 1<<20)
				w.lacks("s1")
				w.arrives(30*time.Second, 1)
				pause(30 * time.Second)
				w.has("s1")
				w.slaves[0].unshape()
				w.slaves[0].mend()
				w.eventually(15*time.Second, func() error { return ended(before) })
			},
			bound: 2 * time.Minute,
		},
	}
}

// installProgram puts a file with the program in place as a package manager does.
func (w *world) installProgram() {
	w.Helper()
	b, err := os.ReadFile(agentBinary())
	w.must(err)
	w.must(os.WriteFile(w.program+".new", b, 0o755))
	w.must(os.Rename(w.program+".new", w.program))
}

// ended is an error while one of the processes lives.
func ended(pids []int) error {
	for _, pid := range pids {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			return fmt.Errorf("process %d lives", pid)
		}
	}
	return nil
}
