package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"syncagent/agent/config"
)

const (
	pidName = "agent.pid"
	logName = "agent.log"
	// readyPoll is how often a program in the background is asked whether it is
	// ready.
	readyPoll = 20 * time.Millisecond
	// logTail is how much of a failed program's log is shown.
	logTail = 4096
)

// background starts the same command in a session of its own, with its log in
// the state directory, and returns when it is ready or has ended.
func (a *app) background(ctx context.Context, c *config.Master) error {
	if err := os.MkdirAll(c.StateDir, 0o755); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	name := filepath.Join(c.StateDir, logName)
	log, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	began, err := log.Stat()
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	cmd := exec.Command("/proc/self/exe", append(os.Args[1:len(os.Args):len(os.Args)], "--background=false", "--pid-file="+filepath.Join(c.StateDir, pidName))...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := keepToOurselves(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start in the background: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return a.awaitBackground(ctx, cmd.Process, ended, name, began.Size())
}

// keepToOurselves has a child inherit nothing that our parent left open for us, such
// as a lock of flock(1) or a pipe whose reader waits for its end.
func keepToOurselves() error {
	const dir = "/proc/self/fd"
	list, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look for open files: %w", err)
	}
	for _, f := range list {
		if n, err := strconv.Atoi(f.Name()); err == nil && n > 2 {
			syscall.CloseOnExec(n)
		}
	}
	return nil
}

func (a *app) awaitBackground(ctx context.Context, p *os.Process, ended <-chan error, log string, from int64) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	pidFile := filepath.Join(filepath.Dir(log), pidName)
	for {
		select {
		case err := <-ended:
			return a.diedEarly(err, log, from)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), p.Signal(syscall.SIGTERM))
		case <-tick.C:
			if pid, err := readPID(pidFile); err == nil && pid == p.Pid {
				fmt.Fprintf(a.err, "running in the background as process %d; log: %s\n", pid, log)
				a.tellStatus(filepath.Dir(log))
				return nil
			}
		}
	}
}

// tellStatus names the command that looks at an instance of sersync's files, whose
// directory nobody knows by heart.
func (a *app) tellStatus(dir string) {
	file := filepath.Join(dir, "agent.yaml")
	if _, err := os.Stat(file); err == nil {
		fmt.Fprintf(a.err, "to look at it: agent status -c %s; to stop it: kill $(cat %s)\n", file, filepath.Join(dir, pidName))
	}
}

// diedEarly shows what the program said, its errors alone if there are any, and ends
// as it did.
func (a *app) diedEarly(err error, log string, from int64) error {
	if data, readErr := os.ReadFile(log); readErr == nil && int64(len(data)) > from {
		data = data[max(int(from), len(data)-logTail):]
		if i := bytes.Index(data, []byte("\nagent: ")); i >= 0 {
			data = data[i+1:]
		}
		fmt.Fprint(a.err, string(data))
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return quiet(exit.ExitCode())
	}
	return fmt.Errorf("the program in the background ended before it was ready: see %s", log)
}

func readPID(file string) (int, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

// withPIDFile writes our process id to a file when ready is closed, for as long
// as run takes.
func withPIDFile(file string, ready <-chan struct{}, run func() error) error {
	if file == "" {
		return run()
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		select {
		case <-ready:
			done <- writePID(file)
		case <-stop:
			done <- nil
		}
	}()
	err := run()
	close(stop)
	failed := <-done
	if pid, readErr := readPID(file); readErr == nil && pid == os.Getpid() {
		if removeErr := os.Remove(file); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			failed = errors.Join(failed, removeErr)
		}
	}
	return errors.Join(err, failed)
}

// writePID puts the file in place whole: who reads it gets a number.
func writePID(file string) error {
	temporary := file + ".new"
	if err := os.WriteFile(temporary, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	if err := os.Rename(temporary, file); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	return nil
}
