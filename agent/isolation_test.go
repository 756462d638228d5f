package agent_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/status"
	"syncagent/rsyncd/badline"
	"syncagent/rsyncd/rsyncdtest"
)

// TestIllSlaveDelaysNobody: one of two slaves is in some bad state, which the status
// tells, and changes go on arriving at the other one while it is.
func TestIllSlaveDelaysNobody(t *testing.T) {
	for name, c := range map[string]struct {
		fall  func(*lab, *rsyncdtest.Daemon)
		state status.State
		class string
		line  badline.State
	}{
		"1 KB/s":          {line: badline.Slow, state: status.Sending},
		"flapping":        {line: badline.Flapping},
		"max connections": {line: badline.Crowded, class: "transient", state: status.Backoff},
		"dead":            {line: badline.Dead, state: status.Backoff, class: "transient"},
		"silent":          {fall: silence, state: status.Sending},
		"wrong password":  {fall: func(l *lab, d *rsyncdtest.Daemon) { l.must(os.WriteFile(d.SecretsFile, []byte("repl:other\n"), 0o600)) }, state: status.Blocked, class: "auth"},
		"module gone":     {fall: renameModule, state: status.Blocked, class: "refused"},
		"read-only":       {fall: func(_ *lab, d *rsyncdtest.Daemon) { remount(t, d, unix.MS_RDONLY, "") }},
		"full":            {fall: func(_ *lab, d *rsyncdtest.Daemon) { remount(t, d, 0, "size=4k") }, state: status.Blocked, class: "disk_full"},
		"suspended":       {fall: func(_ *lab, d *rsyncdtest.Daemon) { d.Suspend() }},
	} {
		t.Run(name, func(t *testing.T) {
			rsyncdtest.NoLeaks(t)
			l := newLab(t, 2, "    first_sync: mirror\n    delete_guard: off\n    warm: false\n")
			ill := l.slaves[1]
			if c.line != badline.Good {
				line := lineTo(t, ill)
				c.fall = func(l *lab, _ *rsyncdtest.Daemon) { l.must(line.Set(c.line)) }
			}
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
				if c.line == badline.Flapping && !s.Behind() {
					l.write("told", time.Now().String()) // it catches up whenever it is there
				}
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
			if s := l.status().Targets[1]; !s.Behind() && c.line != badline.Flapping {
				t.Errorf("the ill one is said to be %s with %d pending", s.State, s.Pending)
			}
			l.stop()
		})
	}
}

// lineTo has the master reach a slave over a line that can be bad.
func lineTo(t *testing.T, d *rsyncdtest.Daemon) *badline.Line {
	t.Helper()
	n, err := badline.Listen(d.Host, d.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	d.Port = int(netip.MustParseAddrPort(n.Addr).Port())
	return n
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
