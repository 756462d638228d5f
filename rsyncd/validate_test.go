package rsyncd

import (
	"errors"
	"strings"
	"testing"
)

func TestValidateFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(c *Conf, m *Module)
		want  string // module: parameter: part of the message
	}{
		{"port", func(c *Conf, _ *Module) { c.Port = 70000 }, "port: 70000 is no port"},
		{"backlog", func(c *Conf, _ *Module) { c.ListenBacklog = -1 }, "listen backlog: -1"},
		{"address is a name", func(c *Conf, _ *Module) { c.Address = "localhost" }, `address: "localhost" is no address`},
		{"relative pid file", func(c *Conf, _ *Module) { c.PIDFile = "rsyncd.pid" }, "pid file: "},
		{"global parameter twice", func(c *Conf, _ *Module) { c.Extra = []Param{{"Port", "1"}} }, "Port: it has a field"},
		{"misspelt parameter", func(_ *Conf, m *Module) { m.Extra = []Param{{"host allow", "10.0.0.1"}} }, `module www: host allow: the daemon knows no such parameter and would go on without it; did you mean hosts allow?`},
		{"not a parameter", func(_ *Conf, m *Module) { m.Extra = []Param{{"[x]", "y"}} }, "is no parameter name"},
		{"empty parameter", func(_ *Conf, m *Module) { m.Extra = []Param{{"", "y"}} }, "is no parameter name"},
		{"daemon-wide in a module", func(_ *Conf, m *Module) { m.Extra = []Param{{"proxy protocol", "yes"}} }, "does nothing inside"},
		{"newline", func(_ *Conf, m *Module) { m.Comment = "a\nread only = no" }, "module www: comment: \"a\\nread only = no\" holds a control character"},
		{"newline in extra", func(_ *Conf, m *Module) { m.Extra = []Param{{"charset", "a\nb"}} }, "charset: "},
		{"NUL", func(_ *Conf, m *Module) { m.Comment = "a\x00" }, "control character"},
		{"hash", func(_ *Conf, m *Module) { m.Path = "/srv/a #1" }, "holds a #"},
		{"variable", func(_ *Conf, m *Module) { m.Path = "/srv/%HOME%" }, "for an environment variable"},
		{"blank at the end", func(_ *Conf, m *Module) { m.Comment = "a " }, "white space"},
		{"backslash at the end", func(_ *Conf, m *Module) { m.Comment = `a\` }, "backslash"},
		{"name", func(_ *Conf, m *Module) { m.Name = "a b" }, `"a b" is no module name`},
		{"long name", func(_ *Conf, m *Module) { m.Name = strings.Repeat("x", 65) }, "is no module name"},
		{"global", func(_ *Conf, m *Module) { m.Name = "Global" }, "daemon-wide part"},
		{"no path", func(_ *Conf, m *Module) { m.Path = "" }, "path: there is none"},
		{"relative path", func(_ *Conf, m *Module) { m.Path = "srv/www" }, "not an absolute path"},
		{"dots in the path", func(_ *Conf, m *Module) { m.Path = "/srv/./www" }, "plain form"},
		{"root", func(_ *Conf, m *Module) { m.Path = "/" }, `"/" belongs to the system`},
		{"etc", func(_ *Conf, m *Module) { m.Path = "/etc" }, "belongs to the system"},
		{"var", func(_ *Conf, m *Module) { m.Path = "/var" }, "belongs to the system"},
		{"a home", func(_ *Conf, m *Module) { m.Path = "/home/joe" }, "belongs to the system"},
		{"below proc", func(_ *Conf, m *Module) { m.Path = "/proc/1/root" }, "belongs to the system"},
		{"secrets in the tree", func(_ *Conf, m *Module) { m.SecretsFile = m.Path + "/s" }, "secrets file: \"/www/www/s\" lies in the module's path"},
		{"pid file in the tree", func(c *Conf, m *Module) { c.PIDFile = m.Path + "/p" }, "pid file: "},
		{"another module's secrets in the tree", func(c *Conf, m *Module) { c.Modules[1].SecretsFile = m.Path + "/s" }, "secrets file of bbs"},
		{"same name but for case", func(_ *Conf, m *Module) { m.Name = "BBS" }, "cannot tell it from"},
		{"paths contain each other", func(_ *Conf, m *Module) { m.Path = "/www/bbs/sub" }, "overlap"},
		{"no users", func(_ *Conf, m *Module) { m.AuthUsers = nil }, "without a password"},
		{"wildcard user", func(_ *Conf, m *Module) { m.AuthUsers = []string{"*:rw"} }, "no plain user rule"},
		{"group", func(_ *Conf, m *Module) { m.AuthUsers = []string{"@wheel"} }, "no plain user rule"},
		{"two users in one", func(_ *Conf, m *Module) { m.AuthUsers = []string{"a b"} }, "no plain user rule"},
		{"writer of a read-only module", func(_ *Conf, m *Module) { m.ReadOnly, m.WriteOnly = true, false }, ":rw overrides read only"},
		{"read only and write only", func(_ *Conf, m *Module) { m.ReadOnly = true }, "nothing is left"},
		{"no secrets file", func(_ *Conf, m *Module) { m.SecretsFile = "" }, "nobody can log in"},
		{"loose secrets file", func(_ *Conf, m *Module) { m.StrictModes = false }, "strict modes"},
		{"digest", func(_ *Conf, m *Module) { m.AuthDigest = "sha3" }, "every login would fail"},
		{"nobody named", func(_ *Conf, m *Module) { m.HostsAllow = nil }, "every host would be let in"},
		{"a name", func(_ *Conf, m *Module) { m.HostsAllow = []string{"web1.example.com"} }, `"web1.example.com" is no address`},
		{"two addresses in one", func(_ *Conf, m *Module) { m.HostsAllow = []string{"10.0.0.1 10.0.0.2"} }, "no address"},
		{"mapped address", func(_ *Conf, m *Module) { m.HostsAllow = []string{"::ffff:10.0.0.1"} }, "write 10.0.0.1"},
		{"bad prefix", func(_ *Conf, m *Module) { m.HostsAllow = []string{"10.0.0.0/33"} }, "is no prefix"},
		{"everybody", func(_ *Conf, m *Module) { m.HostsAllow = []string{"0.0.0.0/0"} }, "lets every host in"},
		{"deny list that lets in", func(_ *Conf, m *Module) { m.HostsDeny = []string{"10.0.0.1"} }, "whoever is in neither list"},
		{"uid", func(_ *Conf, m *Module) { m.UID = "a, b" }, "uid: "},
		{"open refuse list", func(_ *Conf, m *Module) { m.RefuseOptions = []string{"delete"} }, "not closed"},
		{"option with dashes", func(_ *Conf, m *Module) { m.RefuseOptions = []string{"*", "!--delete"} }, "is no option"},
		{"negative timeout", func(_ *Conf, m *Module) { m.Timeout = -1 }, "timeout: "},
		{"links rewritten", func(_ *Conf, m *Module) { m.Chroot = No }, "munge symlinks: "},
		{"chroot if possible", func(_ *Conf, m *Module) { m.Chroot = Unset }, "use chroot: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Receiver(guideSpec())
			tt.spoil(&c, &c.Modules[0])
			err := c.Validate()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want …%s…", err, tt.want)
			}
			var f *Fault
			if !errors.As(err, &f) || f.Hint == "" {
				t.Errorf("want a *Fault with a hint, got %#v", f)
			}
		})
	}
}

func TestValidateAccepts(t *testing.T) {
	for name, edit := range map[string]func(c *Conf, m *Module){
		"prefixes":               func(_ *Conf, m *Module) { m.HostsAllow = []string{"192.168.1.0/24", "2001:db8::/32", "fe80::1%eth0"} },
		"known extra":            func(_ *Conf, m *Module) { m.Extra = []Param{{"max verbosity", "2"}} },
		"global extra":           func(c *Conf, _ *Module) { c.Extra = []Param{{"syslog tag", "x"}} },
		"path below a system's":  func(_ *Conf, m *Module) { m.Path = "/var/www" },
		"path with blanks":       func(_ *Conf, m *Module) { m.Path = "/srv/my files" },
		"path beside another":    func(_ *Conf, m *Module) { m.Path = "/www/bbs2" },
		"path in another script": func(_ *Conf, m *Module) { m.Path = "/srv/网站" },
	} {
		c := Receiver(guideSpec())
		edit(&c, &c.Modules[0])
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateNamesEveryFault(t *testing.T) {
	c := Receiver(guideSpec())
	c.Port = -1
	c.Modules[0].Path = "x"
	c.Modules[1].HostsAllow = nil
	err := c.Validate()
	if n := len(strings.Split(err.Error(), "\n")); n != 3 {
		t.Errorf("want 3 faults, one a line, got %d:\n%v", n, err)
	}
}
