package chaostest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func killCases() []faultCase {
	return []faultCase{
		{
			name: "agent_killed", short: true, slaves: 2,
			says: "the agent is killed at 50 random moments and started again",
			fault: func(w *world) {
				for range rounds(50, 6) {
					w.agent.kill()
					w.startAgent()
					w.letPass(1500 * time.Millisecond)
				}
			},
		},
		{
			name: "rsync_killed", short: true, slaves: 2,
			says: "rsync processes of the agent are killed at 50 random moments",
			fault: func(w *world) {
				for range rounds(50, 10) {
					w.letPass(100 * time.Millisecond)
					w.kill(children(w.agent.pid))
				}
			},
		},
		{
			name: "receiver_killed",
			says: "the receiver is killed 10 times and started again",
			fault: func(w *world) {
				for range rounds(10, 2) {
					w.letPass(time.Second)
					w.slaves[0].recv.kill()
					w.letPass(time.Second)
					w.slaves[0].startReceiver(w)
				}
			},
		},
		{
			name: "daemon_killed_mid_file",
			says: "the slave's rsync daemon and its sessions are killed 5 times in the middle of a file of 200 MB",
			fault: func(w *world) {
				w.big(200 << 20)
				for range rounds(5, 2) {
					w.midFile()
					w.kill(descendants(w.slaves[0].recv.pid))
				}
			},
			bound: 2 * time.Minute,
		},
	}
}

// letPass waits a random time up to a limit.
func (w *world) letPass(limit time.Duration) { pause(time.Duration(w.rand.Int64N(int64(limit)))) }

// kill ends one of the processes at random, if there are any.
func (w *world) kill(pids []int) {
	if len(pids) > 0 {
		_ = syscall.Kill(pids[w.rand.IntN(len(pids))], syscall.SIGKILL)
	}
}

// children returns the processes that a process has started.
func children(pid int) (pids []int) {
	tasks, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		for _, f := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(f); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// descendants returns children and theirs.
func descendants(pid int) (pids []int) {
	for _, c := range children(pid) {
		pids = append(append(pids, c), descendants(c)...)
	}
	return pids
}

// big makes a file that takes a while to be sent.
func (w *world) big(size int64) {
	w.Helper()
	w.edit(func() {
		f, err := os.Create(filepath.Join(w.source, "big.bin"))
		w.must(err)
		defer f.Close()
		block := make([]byte, 1<<20)
		for range size >> 20 {
			for i := 0; i < len(block); i += 8 {
				block[i] = byte(w.rand.Uint32())
			}
			_, err := f.Write(block)
			w.must(err)
		}
	})
}

// midFile waits until a part of a large file has arrived at the first slave,
// or all of it has.
func (w *world) midFile() {
	w.Helper()
	w.eventually(time.Minute, func() error {
		parts, err := filepath.Glob(filepath.Join(w.slaves[0].tree, ".big.bin.*"))
		if err != nil {
			return err
		}
		for _, p := range parts {
			if size(p) > 1<<20 {
				return nil
			}
		}
		if size(filepath.Join(w.slaves[0].tree, "big.bin")) > 0 {
			return nil
		}
		return errNothing
	})
}
