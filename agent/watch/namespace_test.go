package watch

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// inNamespace runs the test that calls it once more in a process with namespaces
// of its own, where it is root, and reports whether this is that process.
func inNamespace(t *testing.T, flags uintptr) bool {
	t.Helper()
	const key = "WATCH_TEST_NAMESPACE"
	if os.Getenv(key) == t.Name() {
		return true
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), key+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  flags,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("in a namespace of its own (unprivileged user namespaces must be allowed): %v\n%s", err, out)
	}
	return false
}
