package proc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// helperEnv makes the test binary an agent that starts one group and waits to
// be killed.
const helperEnv = "PROC_TEST_RECORD"

func TestMain(m *testing.M) {
	if asked {
		os.Exit(lowerOnFirstThread())
	}
	if record := os.Getenv(helperEnv); record != "" {
		helper(record)
		return
	}
	os.Exit(m.Run())
}

// helper prints the pid of its child, a shell, and of the child's child.
func helper(record string) {
	s := NewSpawner(record)
	go func() { _ = s.Run(context.Background()) }()
	cmd := exec.Command("sh", "-c", "sleep 1000 & echo $$ $!; wait")
	cmd.Stdout = os.Stdout
	if _, err := s.Start(cmd); err != nil {
		panic(err)
	}
	select {}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: never happened", what)
		}
	}
}

func alive(pid int) bool {
	s, err := readStat(pid)
	return err == nil && s.alive()
}

// running starts Run and returns a function that ends it; both ends are
// checked for leaks, and that nothing was logged.
func running(t *testing.T, record string) (s *Spawner, stop func()) {
	t.Helper()
	before := runtime.NumGoroutine()
	s = NewSpawner(record)
	var said bytes.Buffer
	s.Log(slog.New(slog.NewTextHandler(&said, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil || said.Len() > 0 {
			t.Errorf("%v, log %q", err, said.String())
		}
		eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before })
	}
	t.Cleanup(stop)
	return s, stop
}

func start(t *testing.T, s *Spawner, args ...string) *Child {
	t.Helper()
	c, err := s.Start(exec.Command(args[0], args[1:]...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWaitReturnsTheExitError(t *testing.T) {
	s, _ := running(t, "")
	if err := start(t, s, "true").Wait(); err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := start(t, s, "sh", "-c", "exit 23").Wait(); !errors.As(err, &exit) || exit.ExitCode() != 23 {
		t.Errorf("got %v", err)
	}
}

func TestStartFails(t *testing.T) {
	s, stop := running(t, "")
	if _, err := s.Start(exec.Command("/no/such/program")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing program: %v", err)
	}
	stop()
	if _, err := s.Start(exec.Command("true")); !errors.Is(err, ErrStopped) {
		t.Errorf("after Run: %v", err)
	}
}

func TestStartWaitsForRun(t *testing.T) {
	s := NewSpawner("")
	started := make(chan *Child)
	go func() {
		c, err := s.Start(exec.Command("true"))
		if err != nil {
			t.Error(err)
		}
		started <- c
	}()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	if c := <-started; c.Wait() != nil {
		t.Error("child failed")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// family starts a shell with a child; both ignore TERM when told to.
func family(t *testing.T, s *Spawner, trap string) (c *Child, grandchild int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("sh", "-c", trap+"sleep 1000 & echo $!; while :; do wait; done")
	cmd.Stdout = w
	c, err = s.Start(cmd)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return c, pid
}

func TestStopEndsTheGroup(t *testing.T) {
	for _, tt := range []struct {
		name, trap string
		grace      time.Duration
		signal     syscall.Signal
	}{
		{"on TERM", "", time.Minute, syscall.SIGTERM},
		{"on KILL", "trap '' TERM; ", 10 * time.Millisecond, syscall.SIGKILL},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := running(t, "")
			c, grandchild := family(t, s, tt.trap)
			err := c.Stop(tt.grace)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != tt.signal {
				t.Errorf("ended by %v, want %v", err, tt.signal)
			}
			if alive(grandchild) {
				t.Error("the grandchild lives")
			}
			if again := c.Stop(0); again != err {
				t.Errorf("second stop: %v", again)
			}
		})
	}
}

// What a child leaves behind is ended when the child ends by itself.
func TestOrphanOfTheGroupIsEnded(t *testing.T) {
	s, _ := running(t, "")
	c, grandchild := family(t, s, "")
	if err := syscall.Kill(c.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if alive(grandchild) {
		t.Error("the grandchild lives")
	}
}

// The rest of the group gets its grace although the leader went at once.
func TestStopLeavesTheRestItsGrace(t *testing.T) {
	s, _ := running(t, "")
	mark := filepath.Join(t.TempDir(), "mark")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("sh", "-c",
		`(trap 'sleep 0.1; touch "$0"; exit' TERM; echo ready; while :; do sleep 0.01; done) & trap 'exit 0' TERM; while :; do wait; done`, mark)
	cmd.Stdout = w
	c, err := s.Start(cmd)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	_ = c.Stop(time.Minute)
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("it was killed before it was done: %v", err)
	}
}

func TestRunEndsWhatIsLeft(t *testing.T) {
	s, stop := running(t, "")
	c, grandchild := family(t, s, "")
	stop()
	select {
	case <-c.Done():
	default:
		t.Error("Run returned before its child was gone")
	}
	if alive(grandchild) {
		t.Error("the grandchild lives")
	}
}

func TestRunFailsWithoutRecord(t *testing.T) {
	s := NewSpawner(filepath.Join(t.TempDir(), "missing", "record"))
	if err := s.Run(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// A record that cannot be written is told once, and children go on being started.
func TestUnwritableRecordIsTold(t *testing.T) {
	s := NewSpawner(filepath.Join(t.TempDir(), "record"))
	var said bytes.Buffer
	s.Log(slog.New(slog.NewTextHandler(&said, nil)))
	err := s.While(t.Context(), func() error {
		start(t, s, "true")
		s.mu.Lock()
		s.rec.close()
		s.mu.Unlock()
		for range 2 {
			if err := start(t, s, "true").Wait(); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	if lines := strings.Count(said.String(), "\n"); err != nil || lines != 1 || !strings.Contains(said.String(), "process record cannot be written") {
		t.Errorf("%v, log %q", err, said.String())
	}
}

// While fails as its work does, and its children are gone when it returns.
func TestWhileOutlivesItsWork(t *testing.T) {
	s := NewSpawner("")
	ctx, cancel := context.WithCancel(t.Context())
	broken := errors.New("broken")
	var left *Child
	err := s.While(ctx, func() error {
		cancel()
		left = start(t, s, "sleep", "1000") // although ctx has ended
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	select {
	case <-left.Done():
	default:
		t.Error("While returned before its child was gone")
	}
	s = NewSpawner(filepath.Join(t.TempDir(), "missing", "record"))
	if err := s.While(t.Context(), func() error { return nil }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestLeftoversOfAKilledProcess(t *testing.T) {
	record := filepath.Join(t.TempDir(), "record")
	agent := exec.Command(os.Args[0])
	agent.Env = append(os.Environ(), helperEnv+"="+record)
	out, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	var leader, orphan int
	if _, err := fmt.Fscan(out, &leader, &orphan); err != nil {
		t.Fatal(err)
	}
	eventually(t, "group is recorded", func() bool {
		b, _ := os.ReadFile(record)
		return strings.Contains(string(b), fmt.Sprintf("+ %d ", leader))
	})
	_ = agent.Process.Kill()
	_ = agent.Wait()
	eventually(t, "the child dies with its parent", func() bool { return !alive(leader) })
	if !alive(orphan) {
		t.Fatal("nothing was left over: the test shows nothing")
	}
	n, err := EndLeftovers(record)
	if n != 1 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
	if alive(orphan) {
		t.Error("the orphan lives")
	}
	if n, err := EndLeftovers(record); n != 0 || err != nil {
		t.Errorf("second call: ended %d, %v", n, err)
	}
}

// A recorded pid that is somebody else's by now is left alone.
func TestLeftoversSparesForeignProcesses(t *testing.T) {
	foreign := exec.Command("sleep", "1000")
	foreign.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := foreign.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = foreign.Process.Kill()
		_ = foreign.Wait()
	}()
	pid := foreign.Process.Pid
	s, err := readStat(pid)
	if err != nil {
		t.Fatal(err)
	}
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	for name, lines := range map[string]string{
		"other start time": fmt.Sprintf("boot %s TOKEN\n+ %d %d \"sleep\"\n", boot, pid, s.start+1),
		"other boot":       fmt.Sprintf("boot other TOKEN\n+ %d %d \"sleep\"\n", pid, s.start),
		"ended":            fmt.Sprintf("boot %s TOKEN\n+ %d %d \"sleep\"\n- %d\n", boot, pid, s.start, pid),
		"torn line":        fmt.Sprintf("boot %s TOKEN\n+ %d %d \"sleep\"", boot, pid, s.start),
		"no boot line":     fmt.Sprintf("+ %d %d \"sleep\"\n", pid, s.start),
		"garbage":          "boot\n+ x y z\n- \n\x00\n",
	} {
		record := filepath.Join(t.TempDir(), "record")
		if err := os.WriteFile(record, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		if n, err := EndLeftovers(record); n != 0 || err != nil || !alive(pid) {
			t.Errorf("%s: ended %d, %v, alive %v", name, n, err, alive(pid))
		}
	}
	record := filepath.Join(t.TempDir(), "record")
	line := fmt.Sprintf("boot %s TOKEN\n+ %d %d \"sleep\"\n", boot, pid, s.start)
	if err := os.WriteFile(record, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := EndLeftovers(record); n != 1 || err != nil || alive(pid) {
		t.Errorf("its own: ended %d, %v, alive %v", n, err, alive(pid))
	}
}

func TestRecordIsCutBack(t *testing.T) {
	record := filepath.Join(t.TempDir(), "record")
	s, stop := running(t, record)
	keeper := start(t, s, "sleep", "1000")
	s.mu.Lock()
	for i := range 5000 {
		if err := s.rec.started(keeper.PID(), strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Unlock()
	_ = keeper.Stop(0)
	fi, err := os.Stat(record)
	if err != nil || fi.Size() > 1000 {
		t.Errorf("record of %d bytes, %v", fi.Size(), err)
	}
	c := start(t, s, "sleep", "1000")
	b, _ := os.ReadFile(record)
	if !strings.Contains(string(b), fmt.Sprintf("+ %d ", c.PID())) || !strings.Contains(string(b), "boot ") {
		t.Errorf("record after the cut:\n%s", b)
	}
	stop()
	if n, err := EndLeftovers(record); n != 0 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
}

func TestChildKeepsItsEnvironment(t *testing.T) {
	s, _ := running(t, "")
	cmd := exec.Command("sh", "-c", `test "$A" = b && test -n "$`+TokenEnv+`" && test -z "$HOME"`)
	cmd.Env = []string{"A=b"}
	c, err := s.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("1 (a) b) S 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987 0 0"))
	f.Add([]byte("1 (x)"))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = parseStat(b) })
}

func FuzzParseRecord(f *testing.F) {
	f.Add("boot b t\n+ 12 34 \"x\"\n- 12\n")
	f.Fuzz(func(t *testing.T, s string) {
		groups, err := parseRecord(strings.NewReader(s), "b")
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups {
			if g.pid <= 1 || g.token == "" {
				t.Errorf("would end %+v", g)
			}
		}
	})
}

func TestParseStat(t *testing.T) {
	got, err := parseStat([]byte("77 (od) d) name) Z 1 42 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987 0 0"))
	if err != nil || got.pgrp != 42 || got.start != 987 || got.alive() {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := parseStat([]byte("77 (x) S 1")); err == nil {
		t.Error("short line accepted")
	}
}
