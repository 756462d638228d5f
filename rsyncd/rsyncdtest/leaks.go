package rsyncdtest

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tokenEnv marks what descends from a test, orphans included.
const tokenEnv = "SYNCAGENT_TEST"

// leakPatience is how long things may take to be gone after a test.
const leakPatience = 10 * time.Second

// NoLeaks fails the test if, after all clean-ups registered later, goroutines
// or processes are left that were not there before. Not for parallel tests.
func NoLeaks(t testing.TB) {
	t.Helper()
	token := rand.Text()
	t.Setenv(tokenEnv, token)
	before, children := goroutines(), processes(token)
	t.Cleanup(func() {
		Eventually(t, leakPatience, func() error {
			return leaks(before, children, token)
		})
	})
}

func leaks(before, children map[string]string, token string) error {
	var left []string
	for id, what := range goroutines() {
		if _, ok := before[id]; !ok {
			left = append(left, what)
		}
	}
	for pid, what := range processes(token) {
		if _, ok := children[pid]; !ok {
			left = append(left, what)
		}
	}
	if len(left) == 0 {
		return nil
	}
	return fmt.Errorf("left behind:\n%s", strings.Join(left, "\n\n"))
}

// goroutines returns the stacks of all but the calling one, by their ids.
// Identity is needed: a count can stay the same by chance.
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	out := map[string]string{}
	for i, stack := range strings.Split(string(buf), "\n\n") {
		head, _, _ := strings.Cut(stack, " [")
		if i > 0 && !strings.Contains(stack, "os/signal.loop") && !strings.Contains(stack, "testing.(*M).startAlarm") {
			out[head] = stack
		}
	}
	return out
}

// processes returns our children, and whatever carries the token, by pid.
func processes(token string) map[string]string {
	out := map[string]string{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if pid := filepath.Base(dir); pid != strconv.Itoa(os.Getpid()) && (parent(dir) == os.Getpid() || carries(dir, token)) {
			cmd, _ := os.ReadFile(dir + "/cmdline")
			out[pid] = "process " + pid + ": " + string(bytes.ReplaceAll(cmd, []byte{0}, []byte{' '}))
		}
	}
	return out
}

// parent returns the parent's pid, 0 for a process that is gone.
func parent(dir string) int {
	ppid, _ := strconv.Atoi(statField(dir, 4))
	return ppid
}

// groupLives reports whether a process of the group has not ended. One that
// only waits to be reaped, by whoever inherited it, has.
func groupLives(pgid int) bool {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	return slices.ContainsFunc(dirs, func(dir string) bool {
		return statField(dir, 5) == strconv.Itoa(pgid) && !strings.Contains("ZX", statField(dir, 3))
	})
}

// statField returns a field of proc_pid_stat(5) as numbered there, from 3 on.
// The second may hold anything, so counting starts behind it.
func statField(dir string, n int) string {
	b, _ := os.ReadFile(dir + "/stat")
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < n-2 {
		return ""
	}
	return string(fields[n-3])
}

func carries(dir, token string) bool {
	b, _ := os.ReadFile(dir + "/environ")
	return bytes.Contains(b, []byte(tokenEnv+"="+token))
}
