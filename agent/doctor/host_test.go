package doctor

import (
	"bufio"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestHost(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*fakeSystem)
		check  string
		level  Level
		words  []string
	}{
		{"system", nil, "os", OK, []string{"Debian GNU/Linux 12 (bookworm)"}},
		{"kernel", nil, "kernel", OK, []string{"6.1.0-28-amd64"}},
		{"old kernel", func(s *fakeSystem) { s.about.Kernel = "3.10.0-1160.el7.x86_64" }, "kernel", Warn, []string{"4.11", "3.10.0-1160"}},
		{"first good kernel", func(s *fakeSystem) { s.about.Kernel = "4.11.0" }, "kernel", OK, nil},
		{"arch", nil, "arch", OK, []string{"amd64"}},
		{"arm", func(s *fakeSystem) { s.about.Arch = "arm64" }, "arch", OK, nil},
		{"other arch", func(s *fakeSystem) { s.about.Arch = "riscv64" }, "arch", Warn, []string{"riscv64", "not tested"}},
		{"root", nil, "user", OK, []string{"root"}},
		{"user", func(s *fakeSystem) { s.about.UID = 1000 }, "user", OK, []string{"uid 1000"}},
		{"clock", nil, "clock", OK, []string{"2026-11-22 10:00:00 UTC", "other hosts"}},
		{"clock without battery", func(s *fakeSystem) { s.about.Now = time.Unix(0, 0) }, "clock", Fail, []string{"1970", "timedatectl"}},
		{"clock far ahead", func(s *fakeSystem) { s.about.Now = time.Date(2106, 2, 7, 0, 0, 0, 0, time.UTC) }, "clock", Fail, []string{"2106"}},
		{"unknown system", func(s *fakeSystem) { s.aboutErr = errors.New("no uname") }, "os", Fail, []string{"no uname"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := healthy()
			if tt.change != nil {
				tt.change(s)
			}
			expect(t, Host(context.Background(), Options{System: s}), tt.check, "this host", tt.level, tt.words...)
		})
	}
}

func TestRsync(t *testing.T) {
	for _, tt := range []struct {
		version, family string
		err             error
		level           Level
		words           []string
	}{
		{version: "3.5.0", level: OK, words: []string{"version 3.5.0"}},
		{version: "3.10.1", level: OK},
		{version: "3.5.0pre1", level: Warn, words: []string{"33 security holes"}},
		{version: "3.4.4", family: "debian", level: Warn, words: []string{"33 security holes (CVEs)", "may have backported", "apt-get changelog rsync"}},
		{version: "3.4.3", level: Warn, words: []string{"cannot delete listed paths", "3.4.4"}},
		{version: "3.2.7", family: "debian", level: Warn, words: []string{"Debian GNU/Linux 12 (bookworm) may have backported"}},
		{version: "3.2.7", family: "rocky rhel centos fedora", level: Warn, words: []string{"rpm -q --changelog rsync"}},
		{version: "3.1.3", level: Warn},
		{version: "3.1.2", level: Fail, words: []string{"3.1.3"}},
		{version: "2.6.9", level: Fail},
		{err: errNoRsync, family: "ubuntu debian", level: Fail, words: []string{"not installed", "apt-get install rsync"}},
		{err: errNoRsync, family: "alpine", level: Fail, words: []string{"apk add rsync"}},
		{err: errNoRsync, family: "opensuse-leap suse opensuse", level: Fail, words: []string{"zypper"}},
		{err: errNoRsync, family: "fedora", level: Fail, words: []string{"dnf install rsync"}},
		{err: errors.New("exec format error"), level: Fail, words: []string{"exec format error"}},
	} {
		s := healthy()
		s.version, s.rsyncErr = tt.version, tt.err
		if tt.family != "" {
			s.about.Family = tt.family
		}
		subject := "/usr/bin/rsync"
		if errors.Is(tt.err, errNoRsync) {
			subject = "rsync"
		}
		expect(t, Host(context.Background(), Options{System: s}), "rsync", subject, tt.level, tt.words...)
	}
}

func TestThisHost(t *testing.T) {
	list := Host(context.Background(), Options{})
	for _, check := range []string{"os", "kernel", "arch", "user", "rsync", "clock"} {
		absent(t, list, check, Fail)
	}
	expect(t, Host(context.Background(), Options{Rsync: "/nonexistent/rsync"}), "rsync", "/nonexistent/rsync", Fail, "not installed")
}

func TestRelease(t *testing.T) {
	for _, tt := range []struct{ text, name, family string }{
		{"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nID=debian\n", "Debian GNU/Linux 12 (bookworm)", "debian"},
		{"# a comment\nNAME='Rocky Linux'\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "Rocky Linux", "rocky rhel centos fedora"},
		{"", "Linux", ""},
		{"no equals sign\n=\n", "Linux", ""},
	} {
		name, family := parseRelease(bufio.NewScanner(strings.NewReader(tt.text)))
		if name != tt.name || family != tt.family {
			t.Errorf("%q: got %q, %q", tt.text, name, family)
		}
	}
	if name, _ := osRelease("/nonexistent"); name != "Linux" {
		t.Errorf("without a file: %q", name)
	}
}
