package rsyncd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseReadsAsTheDaemonDoes(t *testing.T) {
	const in = "# comment\n; comment too \\\n" +
		"  USE chroot=no\n" + // a default, name in another case
		"read\t only = False\n" +
		"max  connections = 5\n" +
		"PortNumber = 9\n" + // unknown: kept
		"PORT =\t8730 \r\n" +
		"socket options = TCP_NODELAY, SO_KEEPALIVE\n" +
		"syslogtag = x = y\n" +
		"\n\\\n" +
		"[ my   module ] # says where\n" +
		"path = /srv/a b//\n" +
		"  hosts allow = 10.0.0.1, \\\n    10.0.0.2\\  \n,10.0.0.3\n" +
		"authusers = a:rw,b\n" +
		"use chroot = unset\n" +
		"listen forever = maybe\n" +
		"Munge Symlinks = 1\n" +
		"[other]\n" +
		"path=/srv/o\n" +
		"auth users = , joe doe:ro,, @some group:deny\n" +
		"max connections = -1"
	want := NewConf()
	want.Port = 8730
	want.SocketOptions = []string{"TCP_NODELAY", "SO_KEEPALIVE"}
	want.Extra = []Param{{"PortNumber", "9"}, {"syslogtag", "x = y"}}
	m := NewModule("my module", "/srv/a b")
	m.ReadOnly, m.MaxConnections, m.Chroot, m.MungeSymlinks = false, 5, Unset, Yes
	m.HostsAllow = []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}
	m.AuthUsers = []string{"a:rw", "b"}
	m.Extra = []Param{{"listen forever", "maybe"}}
	o := NewModule("other", "/srv/o")
	o.ReadOnly, o.MaxConnections, o.Chroot = false, -1, No
	o.AuthUsers = []string{"joe doe:ro", "@some group:deny"}
	want.Modules = []Module{m, o}

	got, err := Parse([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	again, err := Parse(got.Render())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("after a round trip: -want +got\n%s", diff)
	}
}

func TestParseGlobalSection(t *testing.T) {
	c, err := Parse([]byte("[Global]\nreverse lookup = no\n[m]\npath = /srv/m\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.ReverseLookup || len(c.Modules) != 1 || c.Modules[0].ReverseLookup {
		t.Errorf("got %+v", c)
	}
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		line     int
		want     string
	}{
		{"no equals sign", "port = 1\nread only\n", 2, `"read only" is not read`},
		{"name over two lines", "read \\\nonly = yes\n", 1, `"read \\" is not read`},
		{"no name", "\n= yes\n", 2, "without a name"},
		{"unclosed section", "[m]\npath = /a\n[n\npath = /b\n", 3, "[n is not closed"},
		{"empty section", "[ ]\n", 1, "without a name"},
		{"slash in a module's name", "[a/b]\n", 1, "slash"},
		{"text behind a section", "[m] read only = no\n", 1, "is not read"},
		{"bad boolean", "[m]\nread only = nope\n", 2, "read only = nope: want yes or no"},
		{"bad switch", "use chroot = perhaps\n", 1, "want yes, no or unset"},
		{"bad number", "[m]\npath = /x\ntimeout = 5m\n", 3, "timeout = 5m: want a whole number"},
		{"module twice", "[m]\n[n]\n[M ]\n", 3, "there already, on line 1"},
		{"global after a module", "[m]\npath = /a\n[global]\n", 3, "move it to the top"},
		{"global parameter in a module", "[m]\nport = 873\n", 2, "does nothing inside module [m]"},
		{"include", "&include /etc/rsyncd.d\n", 1, "hides settings"},
		{"NUL", "port = 1\n\nx = \x00\n", 3, "NUL"},
		{"control character", "x = a\vb\n", 1, "control character 0x0b"},
		{"path with a blank at its end", "[m]\npath = /a /\n", 2, "white space"},
		{"blank before a continuation at the end", "x = a \\\n\n", 1, "white space"},
		{"blank after a continuation at the start", "\nx = \\\n a\n", 2, "white space"},
		{"backslash at the end of the file", `x = a\`, 1, "ends in a backslash"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.in))
			var pe *ParseError
			if !errors.As(err, &pe) {
				t.Fatalf("got %v, want a *ParseError", err)
			}
			if pe.Line != tt.line || !strings.Contains(pe.Msg, tt.want) {
				t.Errorf("got %q, want line %d: …%s…", err, tt.line, tt.want)
			}
		})
	}
}

// Whatever Parse understands, Render can say.
func FuzzConfRoundTrip(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("..", "testdata", "golden", "rsyncd*.conf"))
	if err != nil || len(files) == 0 {
		f.Fatal("no golden files to start from", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, s := range []string{
		"", "[m]\npath=/\n", "a=b\\\nc\r\n[x]\n", "auth users = ,a b,c\n[m]\n", "[global]\nport=01\n", "log format =\n[m]\n",
		"hosts allow = a,\tb\n[m]\n", "&merge x", "[a\\]\n=", "refuse options = a\tb  !c\n[m]\nrefuseoptions=\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := Parse(in)
		if err != nil {
			return
		}
		out := c.Render()
		back, err := Parse(out)
		if err != nil {
			t.Fatalf("rendered as\n%s\nwhich fails: %v", out, err)
		}
		if diff := cmp.Diff(c, back); diff != "" {
			t.Fatalf("-want +got\n%s\nrendered as\n%s", diff, out)
		}
		_ = c.Validate()
	})
}
