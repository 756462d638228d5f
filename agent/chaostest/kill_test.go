package chaostest

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var errNothing = errors.New("nothing has happened yet")

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
			name: "agent_killed_starting",
			says: "the agent is killed 30 times within a second of its start",
			fault: func(w *world) {
				for range rounds(30, 3) {
					w.agent.kill()
					w.launchAgent()
					w.letPass(time.Second)
				}
				w.agent.kill()
				w.startAgent()
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
			name: "sessions_killed",
			says: "sessions of the slave's rsync daemon are killed at 50 random moments",
			fault: func(w *world) {
				for range rounds(50, 10) {
					w.letPass(200 * time.Millisecond)
					w.kill(w.slaves[0].sessions())
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
			name: "daemon_killed_mid_file", quiet: true,
			says: "the slave's rsync daemon and its sessions are killed 5 times in the middle of a file of 200 MB",
			fault: func(w *world) {
				w.slaves[0].shape("rate 400mbit burst 1mbit latency 400ms")
				for range rounds(5, 2) {
					w.big(200 << 20)
					w.midFile(1 << 20)
					signalAll(descendants(w.slaves[0].recv.pid), syscall.SIGKILL)
				}
			},
			heal:  func(w *world) { w.slaves[0].unshape() },
			bound: 2 * time.Minute,
		},
		{
			name: "stopped_mid_gigabyte", quiet: true,
			says: "the agent is told to stop in the middle of a file of 1 GiB, ends within 10 s, and is started again",
			fault: func(w *world) {
				w.big(1 << 30)
				w.midFile(1 << 20)
				begin := time.Now()
				w.stopAgent()
				if took := time.Since(begin); took > 10*time.Second && w.agent.err == nil {
					w.Errorf("it took %v to stop", took)
				}
			},
			heal:  func(w *world) { w.startAgent() },
			bound: 5 * time.Minute,
		},
		{
			name: "two_agents", short: true,
			says: "a second agent is started on the state directory of the first, which does not mind",
			fault: func(w *world) {
				yaml := strings.Replace(w.yaml(), w.socket(), w.socket()+"2", 1)
				w.write(w.conf+".second.yaml", yaml)
				code, said := w.master.exit(agentBinary(), "run", "-c", w.conf+".second.yaml")
				if code != 1 || !strings.Contains(said, strconv.Itoa(w.agent.pid)) {
					w.Errorf("the second agent ended with %d: %s", code, said)
				}
			},
		},
		{
			name: "slave_hangs", slaves: 2,
			says: "one slave's rsync daemon and its sessions are stopped for a minute, then go on",
			fault: func(w *world) {
				stopped := descendants(w.slaves[0].recv.pid)
				signalAll(stopped, syscall.SIGSTOP)
				w.edit(func() { w.write(filepath.Join(w.source, "while-hung"), "x") })
				w.lacks("s1")
				w.arrives(30*time.Second, 1)
				pause(time.Duration(rounds(60, 5)) * time.Second)
				w.has("s1")
				signalAll(descendants(w.slaves[0].recv.pid), syscall.SIGCONT)
			},
			bound: 4 * time.Minute,
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

// midFile waits until more than so many bytes of the large file have arrived at the first slave.
func (w *world) midFile(bytes int64) {
	w.Helper()
	w.eventually(time.Minute, func() error {
		parts, err := filepath.Glob(filepath.Join(w.slaves[0].tree, ".big.bin.*"))
		for _, p := range parts {
			if size(p) > bytes {
				return nil
			}
		}
		return errors.Join(err, errNothing)
	})
}
