package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnitHidesNothingItNeeds(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/home", link); err != nil {
		t.Fatal(err)
	}
	const both = "PrivateTmp=yes ProtectHome=yes"
	for _, tc := range []struct {
		name, binary string
		place        place
		want         string
	}{
		{"elsewhere", "/usr/local/bin/agent", place{paths: []string{"/srv/a", "/tmpfiles"}}, both},
		{"module in home", "/usr/local/bin/agent", place{paths: []string{"/home/u/a"}}, "PrivateTmp=yes"},
		{"module in tmp", "/usr/local/bin/agent", place{paths: []string{"/var/tmp/a"}}, "ProtectHome=yes"},
		{"link in tmp to home", "/usr/local/bin/agent", place{paths: []string{link + "/new/dir"}}, ""},
		{"binary in root's home", "/root/agent", place{}, "PrivateTmp=yes"},
		{"anywhere", "/usr/local/bin/agent", place{anywhere: true}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := unitText(t, tc.binary, tc.place)
			var got []string
			for line := range strings.Lines(text) {
				if strings.Contains(both, strings.TrimSpace(line)) && strings.TrimSpace(line) != "" {
					got = append(got, strings.TrimSpace(line))
				}
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestUnitQuoting(t *testing.T) {
	text := unitText(t, "/opt/a$b", place{mounts: []string{"/srv/a b$c%d"}, writable: []string{`/srv/q"\`, "/srv/$x"}})
	for _, want := range []string{
		"ExecStart=/opt/a$$b receiver ",
		"RequiresMountsFor=\"/srv/a b$c%%d\"\n",
		`ReadWritePaths="-/srv/q\"\\" -/srv/$x` + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

// What a replica is made of must not be taken from it.
func TestUnitKeepsFidelity(t *testing.T) {
	text := unitText(t, "/usr/local/bin/agent", place{chroot: true})
	for _, bad := range []string{"RestrictSUIDSGID=yes", "PrivateDevices=yes", "ProtectClock=yes", "DeviceAllow=", "CAP_CHOWN", "CAP_MKNOD", "CAP_SYS_CHROOT", "CAP_SET", "CAP_FSETID"} {
		if strings.Contains(text, bad) {
			t.Errorf("%s takes away what replication needs", bad)
		}
	}
	if !strings.Contains(text, "\nSystemCallFilter=chroot\n") {
		t.Error("the daemon's chroot is not allowed")
	}
}

func unitText(t *testing.T, binary string, p place) string {
	t.Helper()
	w := Wanted{Binary: binary, File: "/etc/syncagent/receiver.yaml"}
	u, err := w.unit(ReceiverUnit, "receiver.service.tmpl", p)
	if err != nil {
		t.Fatal(err)
	}
	return string(u.File.Content)
}
