package agent_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/status"
	"syncagent/rsyncd/rsyncdtest"
)

// TestIllSlaveDelaysNobody: one of two slaves is in some bad state, which the status
// tells, and changes go on arriving at the other one while it is.
func TestIllSlaveDelaysNobody(t *testing.T) {
	for name, c := range map[string]struct {
		fall  func(*lab, *rsyncdtest.Daemon)
		state status.State
		class string
	}{
		"dead":           {func(_ *lab, d *rsyncdtest.Daemon) { d.Kill() }, status.Backoff, "transient"},
		"silent":         {silence, status.Sending, ""},
		"wrong password": {func(l *lab, d *rsyncdtest.Daemon) { l.must(os.WriteFile(d.SecretsFile, []byte("repl:other\n"), 0o600)) }, status.Blocked, "auth"},
		"module gone":    {renameModule, status.Blocked, "refused"},
		"read-only":      {func(_ *lab, d *rsyncdtest.Daemon) { remount(t, d, unix.MS_RDONLY, "") }, "", ""},
		"full":           {func(_ *lab, d *rsyncdtest.Daemon) { remount(t, d, 0, "size=4k") }, status.Blocked, "disk_full"},
		"suspended":      {func(_ *lab, d *rsyncdtest.Daemon) { d.Suspend() }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			rsyncdtest.NoLeaks(t)
			l := newLab(t, 2, "    first_sync: mirror\n    delete_guard: off\n    warm: false\n")
			ill := l.slaves[1]
			if name == "read-only" || name == "full" {
				mountTmpfs(t, ill.Path("data"))
			}
			l.write("first", "1")
			l.start()
			l.inSync()
			c.fall(l, ill)
			l.write("told", strings.Repeat("x", 64<<10))
			l.until("the slave is found to be ill", func(m status.Module) bool {
				s := m.Targets[1]
				return s.Behind() && (c.class == "" || s.Class == c.class) && (c.state == "" || s.State == c.state)
			})
			for i := range 5 {
				file := fmt.Sprintf("change%d", i)
				l.write(file, "2")
				rsyncdtest.Eventually(t, 30*time.Second, func() error {
					_, err := os.Stat(filepath.Join(l.slaves[0].Path("data"), file))
					return err
				})
			}
			if s := l.status().Targets[1]; !s.Behind() {
				t.Errorf("the ill one is said to be %s with %d pending", s.State, s.Pending)
			}
			l.stop()
		})
	}
}

// silence has something answer in the daemon's place that accepts and says nothing.
func silence(l *lab, d *rsyncdtest.Daemon) {
	d.Kill()
	n, err := net.Listen("tcp", d.Addr)
	l.must(err)
	l.t.Cleanup(func() { n.Close() })
}

func renameModule(_ *lab, d *rsyncdtest.Daemon) {
	conf := d.Conf
	conf.Modules = append(conf.Modules[:0:0], conf.Modules...)
	conf.Modules[0].Name = "other"
	d.WriteConf(conf)
}

func mountTmpfs(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

func remount(t *testing.T, d *rsyncdtest.Daemon, flags uintptr, options string) {
	t.Helper()
	if err := unix.Mount("tmpfs", d.Path("data"), "tmpfs", unix.MS_REMOUNT|flags, options); err != nil {
		t.Fatal(err)
	}
}
