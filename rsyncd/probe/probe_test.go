package probe_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"syncagent/rsyncd"
	"syncagent/rsyncd/probe"
	"syncagent/rsyncd/rsyncdtest"
)

// site is a configuration with all its files, for a daemon that need not run.
type site struct {
	conf     rsyncd.Conf
	confFile string
	secrets  string
	log      string
}

func newSite(t *testing.T, edit func(*rsyncd.Conf)) site {
	t.Helper()
	dir := t.TempDir()
	s := site{confFile: filepath.Join(dir, "rsyncd.conf"), secrets: filepath.Join(dir, "secrets"), log: filepath.Join(dir, "log")}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	s.conf = rsyncd.Receiver(rsyncd.Spec{
		Root: os.Geteuid() == 0, User: "repl", SecretsFile: s.secrets, Allow: []string{"10.9.0.0/16", "2001:db8:5::7"},
		LogFile: s.log, LockFile: filepath.Join(dir, "lock"), PIDFile: filepath.Join(dir, "pid"), MaxConnections: 3,
		Modules: []rsyncd.ModuleSpec{{Name: "www", Path: data}},
	})
	if edit != nil {
		edit(&s.conf)
	}
	write(t, s.secrets, "other:x\nrepl:s3cret # : ü\n")
	write(t, s.confFile, string(s.conf.Render()))
	return s
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

const password = "s3cret # : ü"

func TestAccess(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	for _, tt := range []struct {
		name string
		edit func(*rsyncd.Conf)
		show func(*probe.Login)
		want probe.Verdict
	}{
		{"right password", nil, nil, probe.Accepted},
		{"right password over IPv6", nil, func(l *probe.Login) { l.From = netip.MustParseAddr("2001:db8:5::7") }, probe.Accepted},
		{"wrong password", nil, func(l *probe.Login) { l.Password = "guess" }, probe.AuthFailed},
		{"no password", nil, func(l *probe.Login) { l.Password = "" }, probe.AuthFailed},
		{"unknown user", nil, func(l *probe.Login) { l.User = "root" }, probe.AuthFailed},
		{"user with a secret that no rule names", nil, func(l *probe.Login) { l.User, l.Password = "other", "x" }, probe.AuthFailed},
		{"stranger", nil, func(l *probe.Login) { l.From = netip.MustParseAddr("192.0.2.1") }, probe.Denied},
		{"stranger over IPv6", nil, func(l *probe.Login) { l.From = netip.MustParseAddr("2001:db8:5::8") }, probe.Denied},
		{
			"stranger to a listed module", func(c *rsyncd.Conf) { c.Modules[0].List = true },
			func(l *probe.Login) { l.From = netip.MustParseAddr("192.0.2.1") }, probe.Denied,
		},
		{"unknown module", nil, func(l *probe.Login) { l.Module = "bbs" }, probe.Denied},
		{
			"open module", func(c *rsyncd.Conf) { c.Modules[0].AuthUsers = nil },
			func(l *probe.Login) { l.Password = "guess" }, probe.Accepted,
		},
		{"digest floor", func(c *rsyncd.Conf) { c.Modules[0].AuthDigest = "sha512" }, nil, probe.Accepted},
		{"message of the day", func(c *rsyncd.Conf) { c.MOTDFile = c.Modules[0].SecretsFile }, nil, probe.Accepted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, tt.edit)
			l := probe.Login{Module: "www", User: "repl", Password: password, From: netip.MustParseAddr("10.9.8.7")}
			if tt.show != nil {
				tt.show(&l)
			}
			got, err := probe.Access(t.Context(), rsyncdtest.Rsync(t), s.confFile, l)
			if err != nil || got != tt.want {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
			if b, _ := os.ReadFile(s.log); len(b) > 0 {
				t.Errorf("a probe shall not fill the log: %s", b)
			}
		})
	}
}

func TestAccessSaysWhatIsWrong(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	for _, tt := range []struct {
		name  string
		edit  func(*rsyncd.Conf)
		spoil func(*testing.T, site)
		want  string
	}{
		{"path is gone", nil, func(t *testing.T, s site) { os.Remove(s.conf.Modules[0].Path) }, "ch"},
		{"no such user", func(c *rsyncd.Conf) { c.Modules[0].UID = "nosuchuser" }, nil, "invalid uid nosuchuser"},
		{"no slots", func(c *rsyncd.Conf) { c.Modules[0].MaxConnections = -1 }, nil, "max connections"},
		{"no file", nil, func(t *testing.T, s site) { os.Remove(s.confFile) }, "rsyncd.conf"},
		{"broken file", nil, func(t *testing.T, s site) { write(t, s.confFile, "[www\n") }, "read the daemon's answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, tt.edit)
			if tt.spoil != nil {
				tt.spoil(t, s)
			}
			l := probe.Login{Module: "www", User: "repl", Password: password, From: netip.MustParseAddr("10.9.8.7")}
			v, err := probe.Access(t.Context(), rsyncdtest.Rsync(t), s.confFile, l)
			if v != probe.Unclear || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v; want …%s…", v, err, tt.want)
			}
			if got := errors.Is(err, probe.ErrBusy); got != (tt.name == "no slots") {
				t.Errorf("busy: %v", got)
			}
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
}

func TestGuarded(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	for _, tt := range []struct {
		name     string
		edit     func(*rsyncd.Conf) // in the file only
		password string
		want     string
	}{
		{"as it shall be", nil, password, ""},
		{
			"everybody may come", func(c *rsyncd.Conf) { c.Modules[0].HostsAllow, c.Modules[0].HostsDeny = nil, nil }, password,
			`repl@192.0.2.1 to module www: want "denied or unknown module", the daemon says "accepted"`,
		},
		{
			"everybody may log in", func(c *rsyncd.Conf) { c.Modules[0].AuthUsers = nil }, password,
			`repl@10.9.0.0 to module www: want "auth failed", the daemon says "accepted"`,
		},
		{
			"the secrets file has another", nil, "outdated",
			`repl@10.9.0.0 to module www: want "accepted", the daemon says "auth failed"`,
		},
		{"misspelt", func(c *rsyncd.Conf) {
			c.Modules[0].Extra = []rsyncd.Param{{Name: "host allow", Value: "10.9.0.0/16"}}
			c.Modules[0].HostsAllow, c.Modules[0].HostsDeny = nil, nil
		}, password, "repl@192.0.2.1 to module www"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, nil)
			asked := s.conf.Modules[0]
			if tt.edit != nil {
				tt.edit(&s.conf)
				write(t, s.confFile, string(s.conf.Render()))
			}
			err := probe.Guarded(t.Context(), rsyncdtest.Rsync(t), s.confFile, asked, "repl", tt.password)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v; want …%s…", err, tt.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	good := string(newSite(t, nil).conf.Render())
	for _, tt := range []struct {
		name, conf, want string
	}{
		{"generated", good, ""},
		{"empty", "", ""},
		{"misspelt parameter", strings.Replace(good, "hosts allow", "host allow", 1), `IGNORING unknown parameter "host allow"`},
		{"misspelt at the top", "prot = 873\n" + good, `IGNORING unknown parameter "prot"`},
		{"bad boolean", strings.Replace(good, "read only = no", "read only = nope", 1), `Badly formed boolean in configuration file: "nope"`},
		{"unclosed section", strings.Replace(good, "[www]", "[www", 1), "Badly formed line in config file: www"},
		{"junk line", good + "junk\n", "badly formed line in config file: junk"},
		{"no newline at the end of junk", good + "junk", "end-of-file at: junk"},
		{"global parameter in a module", good + "port = 873\n", "Global parameter port found in module section"},
		{"empty section", "[ ]\n" + good, "Empty section name"},
		{"slash in a name", "[a/b]\n" + good, "invalid section name"},
		{"missing include", "&include /nonexistent/file\n" + good, "/nonexistent/file"},
		{"unknown directive", "&read x\n" + good, "Unknown directive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := probe.Check(t.Context(), rsyncdtest.Rsync(t), []byte(tt.conf))
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var refused *probe.RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v; want …%s…", err, tt.want)
			}
		})
	}
}

func TestNoAnswer(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	dead, cancel := context.WithCancel(t.Context())
	cancel()
	var refused *probe.RefusedError
	for name, check := range map[string]func() error{
		"no rsync":     func() error { return probe.Check(t.Context(), "/nonexistent/rsync", nil) },
		"context over": func() error { return probe.Check(dead, rsyncdtest.Rsync(t), nil) },
		"access without rsync": func() error {
			_, err := probe.Access(t.Context(), "/nonexistent/rsync", os.DevNull, probe.Login{})
			return err
		},
		"not an rsync": func() error {
			_, err := probe.Access(t.Context(), "/bin/true", os.DevNull, probe.Login{})
			return err
		},
	} {
		if err := check(); err == nil || errors.As(err, &refused) {
			t.Errorf("%s: got %v, want an error that is no refusal", name, err)
		}
	}
}

func TestLoginPrintsNoPassword(t *testing.T) {
	l := probe.Login{Module: "www", User: "repl", Password: "hunter2", From: netip.MustParseAddr("10.0.0.1")}
	for _, s := range []string{l.String(), l.GoString()} {
		if strings.Contains(s, "hunter2") || !strings.Contains(s, "repl@10.0.0.1") {
			t.Errorf("got %s", s)
		}
	}
}
