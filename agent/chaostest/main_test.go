package chaostest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// ownHosts is set in the environment once this process has namespaces of its
// own.
const ownHosts = "CHAOS_OWN_NAMESPACES"

// binaries is where TestMain puts the program under test.
const binaries = "CHAOS_BINARIES"

func TestMain(m *testing.M) {
	code, err := prepareAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		code = 1
	}
	os.Exit(code)
}

func prepareAndRun(m *testing.M) (int, error) {
	if os.Geteuid() != 0 {
		return m.Run(), nil // each test says what it lacks
	}
	if os.Getenv(ownHosts) == "" {
		return 0, isolate()
	}
	dir, err := os.MkdirTemp("", "syncagent-chaos-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	// One case runs the program as nobody.
	if err := errors.Join(os.Chmod(dir, 0o755), os.Setenv(binaries, dir)); err != nil {
		return 0, err
	}
	if err := build(dir); err != nil {
		return 0, err
	}
	if err := makeSwitch(); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// isolate starts this program again in a mount and a network namespace of its
// own. Mounts made from here on reach those who get a copy of the namespace,
// nobody else.
func isolate() error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, append(os.Environ(), ownHosts+"=1"))
}

// build makes the program under test, with the race detector if we have it.
func build(dir string) error {
	args := []string{"build", "-o", filepath.Join(dir, "agent")}
	if raceDetector {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "syncagent/cmd/agent")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build agent: %w: %s", err, out)
	}
	return nil
}

func agentBinary() string { return filepath.Join(os.Getenv(binaries), "agent") }
