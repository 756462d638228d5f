package probe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// patience bounds a probe whose context has no deadline.
	patience = 15 * time.Second
	// exitDelay is what a daemon gets to end after its socket was closed.
	exitDelay = 2 * time.Second
	// maxLine is more than any line of the handshake, a message of the day
	// included, has to be.
	maxLine = 8 << 10
)

// session is one daemon process that serves one connection, ours.
type session struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	conn   net.Conn
	lines  *bufio.Reader
	stderr bytes.Buffer
}

// start runs bin with a socket as its standard input and output. The session
// has to be closed.
func start(ctx context.Context, bin string, env []string, args ...string) (*session, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	s := &session{cancel: cancel, conn: ours, lines: bufio.NewReaderSize(ours, maxLine)}
	s.cmd = exec.CommandContext(ctx, bin, args...)
	s.cmd.Env = append([]string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}, env...)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = theirs, theirs, &s.stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Cancel = func() error { return syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) }
	s.cmd.WaitDelay = exitDelay
	if err := s.cmd.Start(); err != nil {
		cancel()
		_ = ours.Close()
		return nil, fmt.Errorf("start the rsync daemon: %w (is rsync installed?)", err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = ours.SetDeadline(deadline)
	}
	return s, nil
}

// drop ends a daemon that waits for us: were the socket closed first, it would
// log an error.
func (s *session) drop() { _ = s.cmd.Cancel() }

// close ends the session and waits until the process is gone.
func (s *session) close() {
	_ = s.conn.Close()
	timer := time.AfterFunc(exitDelay, s.cancel)
	_ = s.cmd.Wait()
	timer.Stop()
	s.cancel()
}

// line reads one line without its newline.
func (s *session) line() (string, error) {
	b, err := s.lines.ReadSlice('\n')
	if err != nil {
		return "", fmt.Errorf("read the daemon's answer: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

func (s *session) send(line string) error {
	if _, err := s.conn.Write([]byte(line + "\n")); err != nil {
		return fmt.Errorf("answer the daemon: %w", err)
	}
	return nil
}

func socketPair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket pair: %w", err)
	}
	f := os.NewFile(uintptr(fds[0]), "probe")
	theirs = os.NewFile(uintptr(fds[1]), "daemon")
	ours, err = net.FileConn(f)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = theirs.Close()
		return nil, nil, fmt.Errorf("make a socket pair: %w", err)
	}
	return ours, theirs, nil
}
