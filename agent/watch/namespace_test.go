package watch

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inMounts is inNamespace for a test that mounts. Only the real root may use
// fanotify, so root gets no user namespace.
func inMounts(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		return inNamespace(t, unix.CLONE_NEWNS)
	}
	return inNamespace(t, unix.CLONE_NEWNS|unix.CLONE_NEWUSER)
}

// inNamespace runs the test or subtest that calls it once more in a process with namespaces
// of its own, where it is root, and reports whether this is that process.
func inNamespace(t *testing.T, flags uintptr) bool {
	t.Helper()
	const key = "WATCH_TEST_NAMESPACE"
	if os.Getenv(key) == t.Name() {
		if flags&unix.CLONE_NEWNS != 0 { // nothing must be mounted outside, too
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				t.Fatal(err)
			}
		}
		return true
	}
	only := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run="+only, "-test.v")
	cmd.Env = append(os.Environ(), key+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	if flags&unix.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("in a namespace of its own (unprivileged user namespaces must be allowed): %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	case !strings.Contains(string(out), "--- PASS"):
		t.Errorf("nothing was run\n%s", out)
	}
	return false
}
