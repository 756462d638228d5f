package rsyncd

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

func guideSpec() Spec {
	return Spec{
		Root: true, Port: 873, User: "repl", SecretsFile: "/etc/syncagent/rsyncd.secrets",
		Allow: []string{"192.168.1.167"}, MaxConnections: 200,
		PIDFile: "/run/syncagent-receiver/rsyncd.pid", LogFile: "/var/log/syncagent/rsyncd.log",
		LockFile: "/run/syncagent-receiver/rsyncd.lock",
		Modules: []ModuleSpec{
			{Name: "www", Path: "/www/www"},
			{Name: "bbs", Path: "/www/bbs"},
			{Name: "blog", Path: "/www/blog", UID: "www", GID: "www", Comment: "the blog, for reading", ReadOnly: true},
		},
	}
}

func userSpec() Spec {
	return Spec{
		Port: 8730, Address: "127.0.0.1", User: "repl", SecretsFile: "/home/joe/sync/rsyncd.secrets",
		Allow: []string{"127.0.0.1", "::1", "10.0.0.0/8", "fe80::/64"}, Timeout: 60, AuthDigest: "sha256",
		PIDFile: "/home/joe/sync/state/rsyncd.pid", LogFile: "/home/joe/sync/state/rsyncd.log",
		LockFile: "/home/joe/sync/state/rsyncd.lock", Options: []string{"u"},
		Modules: []ModuleSpec{{Name: "docs", Path: "/home/joe/docs with blanks", UID: "joe", GID: "joe"}},
	}
}

func TestReceiverGolden(t *testing.T) {
	for file, spec := range map[string]Spec{"rsyncd.conf": guideSpec(), "rsyncd-user.conf": userSpec()} {
		c := Receiver(spec)
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		golden(t, file, c.Render())
		back, err := Parse(c.Render())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, back); diff != "" {
			t.Errorf("%s does not come back as it went: -want +got\n%s", file, diff)
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("..", "testdata", "golden", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: -want +got\n%s", name, diff)
	}
}

// What a receiver must never say, whatever it is asked for.
func TestReceiverIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Receiver(specs().Draw(t, "spec"))
		for _, m := range c.Modules {
			root := c.Modules[0].UID != ""
			switch {
			case len(m.AuthUsers) == 0, len(m.HostsAllow) == 0, !m.StrictModes, m.List, m.ReverseLookup:
				t.Fatalf("open door: %+v", m)
			case m.ReadOnly == m.WriteOnly:
				t.Fatalf("reads and writes: %+v", m)
			case slices.ContainsFunc(m.AuthUsers, func(r string) bool { return m.ReadOnly != strings.HasSuffix(r, ":ro") }):
				t.Fatalf("a user's rule says otherwise: %+v", m)
			case (m.Chroot == Yes) != (m.MungeSymlinks == No):
				t.Fatalf("links are rewritten: %+v", m)
			case !root && m.Chroot == Yes, root && m.GID == "":
				t.Fatalf("rights: %+v", m)
			case m.RefuseOptions[0] != "*":
				t.Fatalf("refuse list is open: %+v", m)
			}
		}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
	})
}

func specs() *rapid.Generator[Spec] {
	return rapid.Custom(func(t *rapid.T) Spec {
		s := Spec{
			Root:        rapid.Bool().Draw(t, "root"),
			User:        rapid.StringMatching(`[A-Za-z0-9._-]{1,20}`).Draw(t, "user"),
			Also:        rapid.SliceOfN(rapid.StringMatching(`[A-Za-z0-9._-]{1,20}`), 0, 2).Draw(t, "also"),
			SecretsFile: "/run/x/secrets",
			Allow:       rapid.SliceOfN(rapid.SampledFrom([]string{"10.1.2.3", "fe80::1", "10.0.0.0/8"}), 1, 3).Draw(t, "allow"),
			Port:        rapid.IntRange(0, 65535).Draw(t, "port"),
			Timeout:     rapid.IntRange(0, 1000).Draw(t, "timeout"),
		}
		for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,6}`), 1, 4, rapid.ID).Draw(t, "names") {
			s.Modules = append(s.Modules, ModuleSpec{
				Name: name, Path: "/data/" + name,
				NoChroot: rapid.Bool().Draw(t, "no chroot"), ReadOnly: rapid.Bool().Draw(t, "read only"),
			})
		}
		return s
	})
}

// Every Conf that Validate accepts, not only a receiver's, survives the file.
func TestRoundTripOfValidConfs(t *testing.T) {
	valid := 0
	rapid.Check(t, func(t *rapid.T) {
		c := confs().Draw(t, "conf")
		if c.Validate() != nil {
			return
		}
		valid++
		back, err := Parse(c.Render())
		if err != nil {
			t.Fatalf("%v in\n%s", err, c.Render())
		}
		if diff := cmp.Diff(c, back); diff != "" {
			t.Fatalf("-want +got\n%s\nof\n%s", diff, c.Render())
		}
	})
	if valid < 10 {
		t.Errorf("only %d were valid, hardly anything was tested", valid)
	}
}

// confs are Receiver's with any of their fields replaced, by fair values and
// by ones that the file cannot hold.
func confs() *rapid.Generator[Conf] {
	return rapid.Custom(func(t *rapid.T) Conf {
		c := Receiver(specs().Draw(t, "spec"))
		spoil(t, reflect.ValueOf(&c).Elem())
		for i := range c.Modules {
			spoil(t, reflect.ValueOf(&c.Modules[i]).Elem())
		}
		return c
	})
}

// spoil replaces at most two fields: more would leave hardly a valid Conf.
func spoil(t *rapid.T, v reflect.Value) {
	fields := rapid.SliceOfNDistinct(rapid.IntRange(0, v.NumField()-1), 0, 2, rapid.ID).Draw(t, "fields")
	for _, i := range fields {
		name := v.Type().Field(i).Name
		if name == "Name" || name == "Path" || name == "Modules" {
			continue
		}
		switch f := v.Field(i).Addr().Interface().(type) {
		case *string:
			*f = texts().Draw(t, name)
		case *int:
			*f = rapid.IntRange(-2, 70000).Draw(t, name)
		case *bool:
			*f = rapid.Bool().Draw(t, name)
		case *Tri:
			*f = rapid.SampledFrom([]Tri{Unset, No, Yes}).Draw(t, name)
		case *[]string:
			*f = rapid.SliceOfN(texts(), 1, 3).Draw(t, name)
		case *[]Param:
			*f = []Param{{rapid.SampledFrom([]string{"syslog tag", "log file", "Max Verbosity", "charset", "x"}).Draw(t, name), texts().Draw(t, name)}}
		default:
			t.Fatalf("field %s has a type this test does not know", name)
		}
	}
}

func texts() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"", "a", "/a/b", "a b", " a", "a ", "a\\", "a\nb", "#", "a,b", "*", "!x", "=", "[x]", "u:rw", "sha256",
			"10.0.0.1", "10.0.0.0/8", "é", "\xff", "a\tb", "yes", "%A%",
		}),
		rapid.String(),
	)
}

func TestModuleIsCaseSensitive(t *testing.T) {
	c := Conf{Modules: []Module{NewModule("Blog", "/srv/blog")}}
	if _, ok := c.Module("blog"); ok {
		t.Error("blog is not Blog to the daemon's clients")
	}
	if m, ok := c.Module("Blog"); !ok || m.Path != "/srv/blog" {
		t.Errorf("got %v, %v", m, ok)
	}
}
