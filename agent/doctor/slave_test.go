package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"syncagent/agent/config"
	"syncagent/rsyncd"
	"syncagent/rsyncd/rsyncdtest"
)

// slaveOf is the configuration of a receiver whose files and daemon are d's, as
// it should be.
func slaveOf(t *testing.T, d *rsyncdtest.Daemon) (*config.Receiver, Options) {
	t.Helper()
	c := config.NewReceiver()
	c.StateDir, c.ConfFile = t.TempDir(), d.ConfFile
	c.Address, c.Port = d.Host, d.Port
	c.Auth = config.ReceiverAuth{User: d.User, SecretsFile: d.SecretsFile}
	c.Allow = []string{"127.0.0.1"}
	for _, m := range d.Conf.Modules {
		c.Modules = append(c.Modules, config.NewReceiverModule(m.Name, m.Path))
	}
	want := d.Conf.Render()
	return c, Options{
		System: healthy(),
		Holder: func(*config.Receiver) (string, bool) { return "", false },
		Wanted: func(context.Context, *config.Receiver, bool) ([]byte, error) { return want, nil },
	}
}

func TestSlave(t *testing.T) {
	d := rsyncdtest.Start(t, rsyncdtest.Options{Modules: []rsyncdtest.Module{{Name: "www"}}})
	c, opt := slaveOf(t, d)
	list := Slave(context.Background(), c, opt)
	for _, f := range list {
		if f.Level != OK {
			t.Errorf("all is well, but %+v", f)
		}
	}
	expect(t, list, "state", c.StateDir, OK)
	expect(t, list, "secrets", d.SecretsFile, OK)
	expect(t, list, "fidelity", "receiver", OK, "root")
	expect(t, list, "port", d.Addr, OK, "our own rsync daemon answers, protocol 32")
	expect(t, list, "module", "www", OK, d.Path("www"), "uid 0")
	expect(t, list, "disk", d.Path("www"), OK)
	expect(t, list, "access", "www", OK, "user repl")
}

// TestConf breaks one thing at a time.
func TestConf(t *testing.T) {
	type world struct {
		d   *rsyncdtest.Daemon
		c   *config.Receiver
		opt *Options
	}
	write := func(w world, text string) { must(t, os.WriteFile(w.d.ConfFile, []byte(text), 0o600)) }
	for _, tt := range []struct {
		name   string
		mend   func(w world)
		check  string
		level  Level
		words  []string
		access bool // it is still tried
	}{
		{"missing", func(w world) { must(t, os.Remove(w.d.ConfFile)) }, "conf", Warn, []string{"not written yet", "agent init slave"}, false},
		{"misspelt", func(w world) { write(w, string(w.d.Conf.Render())+"    hots allow = *\n") }, "conf", Fail, []string{"IGNORING unknown parameter", "agent init slave --force"}, false},
		{"broken", func(w world) { write(w, "[www\npath = /x\n") }, "conf", Fail, []string{"agent init slave --force"}, false},
		{"edited", func(w world) {
			conf := w.d.Conf
			conf.Modules = append([]rsyncd.Module(nil), conf.Modules...)
			conf.Modules[0].HostsAllow = []string{"127.0.0.0/8"}
			write(w, string(conf.Render()))
		}, "conf", Fail, []string{`holds "hosts allow = 127.0.0.0/8"`, `asks for "hosts allow = 127.0.0.1"`}, true},
		{"module missing", func(w world) { w.c.Modules = append(w.c.Modules, config.NewReceiverModule("bbs", t.TempDir())) }, "access", Fail, []string{"has no module"}, true},
		{"wanted unknown", func(w world) {
			w.opt.Wanted = func(context.Context, *config.Receiver, bool) ([]byte, error) { return nil, errors.New("no such user") }
		}, "conf", Fail, []string{"no such user"}, true},
		{"safe by itself", func(w world) { w.opt.Wanted = nil }, "access", OK, nil, true},
		{"unsafe by itself", func(w world) {
			w.opt.Wanted = nil
			conf := w.d.Conf
			conf.Modules = append([]rsyncd.Module(nil), conf.Modules...)
			conf.Modules[0].HostsAllow = nil
			write(w, string(conf.Render()))
		}, "conf", Fail, []string{"hosts allow"}, true},
		{"no rsync", func(w world) { w.opt.Rsync = "/nonexistent/rsync" }, "conf", Fail, []string{"could not be asked"}, false},
		{"password gone", func(w world) { must(t, os.WriteFile(w.d.SecretsFile, []byte("other:x\n"), 0o600)) }, "secrets", Fail, []string{"no line for user repl"}, true},
		{"password unknown", func(w world) { must(t, os.Remove(w.d.SecretsFile)) }, "access", Warn, []string{"without the password of user repl"}, true},
		{"further password gone", func(w world) { w.c.Auth.Also = []string{"repl2"} }, "secrets", Fail, []string{"no line for user repl2"}, true},
		{"further user not let in", func(w world) {
			w.c.Auth.Also = []string{"repl2"}
			must(t, os.WriteFile(w.d.SecretsFile, []byte("repl:secret\nrepl2:x\n"), 0o600))
		}, "access", Fail, []string{"repl2"}, true},
		{"secrets open", func(w world) { must(t, os.Chmod(w.d.SecretsFile, 0o644)) }, "secrets", Fail, []string{"mode 0644", "chmod 600"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := rsyncdtest.Start(t, rsyncdtest.Options{Modules: []rsyncdtest.Module{{Name: "www"}}})
			c, opt := slaveOf(t, d)
			tt.mend(world{d, c, &opt})
			list := Slave(context.Background(), c, opt)
			subject := map[string]string{"conf": d.ConfFile, "secrets": d.SecretsFile, "access": c.Modules[len(c.Modules)-1].Name}[tt.check]
			expect(t, list, tt.check, subject, tt.level, tt.words...)
			if tt.level == OK {
				absent(t, list, "conf", Fail)
			}
			if !tt.access {
				for _, level := range []Level{OK, Warn, Fail} {
					absent(t, list, "access", level)
				}
			}
		})
	}
}

// TestHole: a daemon that lets in everybody is found by its own answers, even
// where the configuration is what was asked for.
func TestHole(t *testing.T) {
	d := rsyncdtest.Start(t, rsyncdtest.Options{Modules: []rsyncdtest.Module{{Name: "www"}}, Edit: func(c *rsyncd.Conf) { c.Modules[0].AuthUsers = nil }})
	c, opt := slaveOf(t, d)
	expect(t, Slave(context.Background(), c, opt), "access", "www", Fail, `want "auth failed"`)
}

// TestOthersReceiver: what a user's receiver is like cannot be told by root, and
// it keeps less.
func TestOthersReceiver(t *testing.T) {
	d := rsyncdtest.Start(t, rsyncdtest.Options{Modules: []rsyncdtest.Module{{Name: "www"}}})
	c, opt := slaveOf(t, d)
	must(t, os.Chown(d.ConfFile, 4711, 0))
	root := true
	want := opt.Wanted
	opt.Wanted = func(ctx context.Context, c *config.Receiver, asRoot bool) ([]byte, error) {
		root = asRoot
		return want(ctx, c, asRoot)
	}
	list := Slave(context.Background(), c, opt)
	expect(t, list, "fidelity", "receiver", Warn, "uid 4711", "as root")
	expect(t, list, "access", "www", Warn, "cannot be tried by uid 0")
	if root {
		t.Error("the wanted file was asked for as if root ran the receiver")
	}
	expect(t, list, "module", "www", Fail, "uid 4711", "permission denied")
	c.Port = 1
	expect(t, Slave(context.Background(), c, opt), "port", "127.0.0.1:1", Fail, "only root")
}

func TestListen(t *testing.T) {
	taken := func(*config.Receiver) (string, bool) { return "rsync (pid 7, unit rsync.service)", true }
	free := func(*config.Receiver) (string, bool) { return "", false }
	host, port := listener(t, func(c net.Conn) { fmt.Fprint(c, "220 smtp ready\r\n") })
	for _, tt := range []struct {
		name    string
		address string
		port    int
		holder  func(*config.Receiver) (string, bool)
		level   Level
		words   []string
	}{
		{"taken", "", 873, taken, Fail, []string{"taken by rsync (pid 7, unit rsync.service)", "another port"}},
		{"free", "127.0.0.1", closedPort(t), free, Warn, []string{"free", "start the receiver"}},
		{"another service", host, port, nil, Fail, []string{"no rsync daemon answers", "ss -ltnp"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &config.Receiver{Address: tt.address, Port: tt.port}
			s := &slave{Options: Options{Holder: tt.holder, Patience: 300 * time.Millisecond}.filled(), c: c}
			expect(t, []Finding{s.port(context.Background())}, "port", net.JoinHostPort(tt.address, strconv.Itoa(tt.port)), tt.level, tt.words...)
		})
	}
	for address, want := range map[string]string{"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "10.0.0.1": "10.0.0.1"} {
		if got := (&slave{c: &config.Receiver{Address: address}}).loopback(); got != want {
			t.Errorf("%q: asked at %s", address, got)
		}
	}
}

func TestForeignAddress(t *testing.T) {
	c := &config.Receiver{Address: "192.0.2.1", Port: 873}
	for _, err := range []error{syscall.EADDRNOTAVAIL, syscall.ENETUNREACH} {
		s := &slave{Options: Options{Network: fakeNetwork{greetErr: &net.OpError{Op: "dial", Err: err}}}.filled(), c: c}
		expect(t, []Finding{s.port(context.Background())}, "port", "192.0.2.1:873", Fail, "no such address")
	}
}

func TestModule(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "www"), 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "own"), 0o755))
	must(t, os.Chown(filepath.Join(dir, "own"), 4711, 4712))
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	for _, tt := range []struct {
		name   string
		module config.ReceiverModule
		space  func(*Space)
		level  Level
		usable bool
		words  []string
	}{
		{"fine", config.ReceiverModule{Path: "www"}, nil, OK, true, []string{"/www (ext4)", "uid 0"}},
		{"missing", config.ReceiverModule{Path: "bbs"}, nil, Fail, false, []string{"does not exist", "agent init slave"}},
		{"file", config.ReceiverModule{Path: "file"}, nil, Fail, false, []string{"not a directory"}},
		{"unknown user", config.ReceiverModule{Path: "www", UID: "no-such-user"}, nil, Fail, false, []string{`no user "no-such-user"`, "create the account"}},
		{"unknown group", config.ReceiverModule{Path: "www", GID: "no-such-group"}, nil, Fail, false, []string{`no group "no-such-group"`}},
		{"other user", config.ReceiverModule{Path: "www", UID: "4711"}, nil, Fail, true, []string{"uid 4711", "permission denied"}},
		{"its own user", config.ReceiverModule{Path: "own", UID: "4711"}, nil, OK, true, []string{"uid 4711"}},
		{"its group only", config.ReceiverModule{Path: "own", UID: "5", GID: "4712"}, nil, Fail, true, []string{"uid 5"}},
		{"read only", config.ReceiverModule{Path: "www", ReadOnly: true}, nil, Warn, true, []string{"read_only: false"}},
		{"read only, not writable", config.ReceiverModule{Path: "www", UID: "4711", ReadOnly: true}, nil, Warn, true, nil},
		{"mounted read-only", config.ReceiverModule{Path: "www"}, func(s *Space) { s.ReadOnly = true }, Fail, true, []string{"mounted read-only", "remount"}},
		{"vfat", config.ReceiverModule{Path: "www"}, func(s *Space) { s.Type = 0x4d44 }, Warn, true, []string{"vfat"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sys := healthy()
			if tt.space != nil {
				tt.space(&sys.space)
			}
			tt.module.Name, tt.module.Path = "www", filepath.Join(dir, tt.module.Path)
			s := &slave{Options: Options{System: sys}.filled(), c: &config.Receiver{}}
			list, usable := s.module(context.Background(), tt.module)
			expect(t, list, "module", "www", tt.level, tt.words...)
			if usable != tt.usable {
				t.Errorf("usable: %v", usable)
			}
		})
	}
}

func TestNoChroot(t *testing.T) {
	s := &slave{c: &config.Receiver{Modules: []config.ReceiverModule{{Name: "a", Chroot: true}, {Name: "b"}}}}
	list := s.fidelity()
	expect(t, list, "fidelity", "b", Warn, "chroot: true")
	absent(t, list, "fidelity", OK)
}

func TestFirstDifference(t *testing.T) {
	for _, tt := range []struct{ have, want, text string }{
		{"a\nb\n", "a\nc\n", `line 2 holds "b", the receiver's configuration asks for "c"`},
		{"a\n", "a\nb\n", `line 2 holds "", the receiver's configuration asks for "b"`},
		{"a\nb", "a", `line 2 holds "b", the receiver's configuration asks for nothing`},
		{"  a\n", "a\n", "it differs in blanks from what the receiver's configuration asks for"},
	} {
		if got := firstDifference(tt.have, tt.want); got != tt.text {
			t.Errorf("%q, %q: %s", tt.have, tt.want, got)
		}
	}
}
