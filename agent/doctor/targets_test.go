package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syncagent/agent/rsync"
	"syncagent/rsyncd"
	"syncagent/rsyncd/rsyncdtest"
)

// ask looks at the targets of a master whose module www goes to them.
func ask(t *testing.T, opt Options, targets string) []Finding {
	t.Helper()
	c := master(t, t.TempDir(), "targets:\n"+targets)
	modules, err := c.Modules()
	must(t, err)
	return opt.filled().targets(context.Background(), modules)
}

func TestLogin(t *testing.T) {
	for _, tt := range []struct {
		name          string
		password      string
		edit          func(*rsyncd.Conf)
		login, del    Level // "": no such finding
		words, words2 []string
	}{
		{name: "all is well", login: OK, del: OK, words: []string{"accepted"}},
		{name: "wrong password", password: "other", login: Fail, words: []string{"does not take user \"repl\"", "secrets file"}},
		{
			name: "denied or unknown", edit: func(c *rsyncd.Conf) { c.Modules[0].HostsAllow = []string{"192.0.2.1"} },
			login: Fail, words: []string{"one answer to both", "put 127.0.0.1 under allow", "add module www"},
		},
		{
			name: "denied and says so", edit: func(c *rsyncd.Conf) { c.Modules[0].HostsAllow, c.Modules[0].List = []string{"192.0.2.1"}, true },
			login: Fail, words: []string{"does not let this host in", "put 127.0.0.1 under allow"},
		},
		{name: "unknown", edit: func(c *rsyncd.Conf) { c.Modules[0].Name = "other" }, login: Fail, words: []string{"one answer to both"}},
		{name: "read only", edit: func(c *rsyncd.Conf) {
			c.Modules[0].ReadOnly, c.Modules[0].WriteOnly, c.Modules[0].AuthUsers = true, false, []string{"repl:ro"}
		}, login: Fail, words: []string{"read only", "read_only: false"}},
		{
			name: "directory gone", edit: func(c *rsyncd.Conf) { c.Modules[0].Path = "/nonexistent/www" },
			login: Fail, words: []string{"failed", "agent init slave"},
		},
		{
			name: "option refused", edit: func(c *rsyncd.Conf) { c.Modules[0].RefuseOptions = []string{"delete-missing-args"} },
			login: OK, del: Fail, words2: []string{"does not take --delete-missing-args", "3.4.4"},
		},
		{
			name: "another option refused", edit: func(c *rsyncd.Conf) { c.Modules[0].RefuseOptions = []string{"force"} },
			login: Fail, words: []string{"refuse --force", "agent init slave"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := rsyncdtest.Start(t, rsyncdtest.Options{Modules: []rsyncdtest.Module{{Name: "www"}}, Password: tt.password, Edit: tt.edit})
			list := ask(t, Options{Spawner: spawner(t)}, target("s1", d.Host, d.Port))
			expect(t, list, "port", "s1", OK, d.Addr+" answers, protocol 32")
			expect(t, list, "login", "www on s1", tt.login, tt.words...)
			if tt.del != "" {
				expect(t, list, "delete", "www on s1", tt.del, tt.words2...)
			} else {
				absent(t, list, "delete", OK)
			}
		})
	}
}

// TestChangesNothing: what is asked of a slave leaves it as it was.
func TestChangesNothing(t *testing.T) {
	d := rsyncdtest.Start(t, rsyncdtest.Options{Modules: []rsyncdtest.Module{{Name: "www"}}})
	must(t, os.MkdirAll(filepath.Join(d.Path("www"), "dir"), 0o751))
	must(t, os.WriteFile(filepath.Join(d.Path("www"), "dir", "f"), []byte("x"), 0o640))
	before, err := os.Stat(d.Path("www"))
	must(t, err)
	expect(t, ask(t, Options{Spawner: spawner(t)}, target("s1", d.Host, d.Port)), "delete", "www on s1", OK)
	after, err := os.Stat(d.Path("www"))
	must(t, err)
	if !after.ModTime().Equal(before.ModTime()) || after.Mode() != before.Mode() {
		t.Errorf("the module's root changed: %v %v, then %v %v", before.Mode(), before.ModTime(), after.Mode(), after.ModTime())
	}
	if data, err := os.ReadFile(filepath.Join(d.Path("www"), "dir", "f")); err != nil || string(data) != "x" {
		t.Errorf("the module's file: %q, %v", data, err)
	}
}

// TestUnknownBesideKnown: one module that lets us in tells that another one's
// refusal is not about our address.
func TestUnknownBesideKnown(t *testing.T) {
	d := rsyncdtest.Start(t, rsyncdtest.Options{Modules: []rsyncdtest.Module{{Name: "www"}}})
	c := master(t, t.TempDir(), "  bbs: {path: "+t.TempDir()+"}\ntargets:\n"+target("s1", d.Host, d.Port))
	modules, err := c.Modules()
	must(t, err)
	list := Options{Spawner: spawner(t)}.filled().targets(context.Background(), modules)
	expect(t, list, "login", "www on s1", OK)
	expect(t, list, "login", "bbs on s1", Fail, "has no module bbs", "lets this host into others")
}

// TestOldSlave has the words of an rsync 3.4.3 (RsyncProject/rsync#910).
func TestOldSlave(t *testing.T) {
	err := rsync.Classify(2, "invalid file mode 00 for syncagent-doctor-X [receiver]\n"+
		"rsync error: protocol incompatibility (code 2) at flist.c(874) [receiver=3.4.3]\n")
	list := ask(t, Options{Network: fakeNetwork{greeting: rsync.Greeting{Protocol: "32.0"}, login: map[string]error{"www": err}}}, target("s1", "192.0.2.1", 873))
	expect(t, list, "login", "www on s1", OK)
	expect(t, list, "delete", "www on s1", Fail, "invalid file mode 00", "install rsync 3.5.0, or at least 3.4.4")
}

func TestLoginErrors(t *testing.T) {
	for _, tt := range []struct {
		err   error
		words []string
	}{
		{errors.New("no space for a directory"), []string{"no space for a directory", "ask again"}},
		{rsync.Classify(5, "@ERROR: max connections (3) reached -- try again later\n"), []string{"max connections (3)", "raise"}},
		{rsync.Classify(12, "rsync: connection unexpectedly closed (0 bytes received so far) [sender]\n"), []string{"unexpectedly closed", "daemon log"}},
		{&rsync.Error{Class: rsync.Incompatible, Err: errors.New("start rsync: not found"), Hint: "install rsync on this host"}, []string{"start rsync: not found", "install rsync on this host"}},
	} {
		list := ask(t, Options{Network: fakeNetwork{greeting: rsync.Greeting{Protocol: "32.0"}, login: map[string]error{"www": tt.err}}}, target("s1", "192.0.2.1", 873))
		expect(t, list, "login", "www on s1", Fail, tt.words...)
		absent(t, list, "delete", OK)
	}
	if err := (realNetwork{}).Login(context.Background(), rsync.Dest{}, rsync.Options{}); !errors.Is(err, errNoSpawner) {
		t.Errorf("without a spawner: %v", err)
	}
}

func TestPort(t *testing.T) {
	say := func(text string) func(net.Conn) {
		return func(c net.Conn) { fmt.Fprint(c, text); _, _ = io.Copy(io.Discard, c) }
	}
	greets := func(version, motd string) func(net.Conn) {
		return say("@RSYNCD: " + version + "\n" + motd + "@ERROR: no such thing\n")
	}
	for _, tt := range []struct {
		name  string
		serve func(net.Conn)
		level Level
		words []string
	}{
		{"web server", say("HTTP/1.1 400 Bad Request\r\n\r\n"), Fail, []string{"something other than an rsync daemon", "HTTP/1.1 400"}},
		{"hangs up", func(net.Conn) {}, Fail, []string{"does not greet", "slave's log"}},
		{"silent", say(""), Fail, []string{"does not greet"}},
		{"rsync 3.0", greets("30.0", ""), Fail, []string{"protocol 30.0", "older than 3.1.0"}},
		{"rsync 3.2", greets("31.0", ""), Warn, []string{"protocol 31.0", "older than 3.4.0"}},
		{"rsync 3.5", greets("32.0 sha512 sha256", ""), OK, []string{"protocol 32.0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host, port := listener(t, tt.serve)
			net := mixedNetwork{fakeNetwork{}, realNetwork{}}
			list := ask(t, Options{Network: net, Patience: 300 * time.Millisecond}, target("s1", host, port))
			expect(t, list, "port", "s1", tt.level, append(tt.words, fmt.Sprintf("%s:%d", host, port))...)
		})
	}
}

// mixedNetwork greets for real and lets everybody in.
type mixedNetwork struct {
	fakeNetwork
	real realNetwork
}

func (n mixedNetwork) Greet(ctx context.Context, d rsync.Dest) (rsync.Greeting, error) {
	return n.real.Greet(ctx, d)
}

func TestRefusedAndTimedOut(t *testing.T) {
	closed, silent := closedPort(t), fullPort(t)
	list := ask(t, Options{Patience: 300 * time.Millisecond, Spawner: spawner(t)}, target("s1", "127.0.0.1", closed)+target("s2", "127.0.0.1", silent))
	expect(t, list, "port", "s1", Fail, "refuses the connection", "the service does not run there", "systemctl start syncagent-receiver")
	expect(t, list, "port", "s2", Fail, "does not answer", "a firewall drops the connection, or the host is down", "firewalls")
	absent(t, list, "login", OK)
	absent(t, list, "login", Fail)
}

// fullPort is one whose queue of connections is full: the kernel drops further
// ones, as a firewall would.
func fullPort(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	must(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(t, unix.Listen(fd, 0))
	addr, err := unix.Getsockname(fd)
	must(t, err)
	port := addr.(*unix.SockaddrInet4).Port
	for range 4 {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 200*time.Millisecond)
		if err != nil {
			return port
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the queue of connections does not fill")
	return 0
}

func TestDialErrors(t *testing.T) {
	dial := func(err error) error {
		return &rsync.Error{Class: rsync.Transient, Err: &net.OpError{Op: "dial", Net: "tcp", Err: err}}
	}
	for _, tt := range []struct {
		err   error
		words []string
	}{
		{dial(&net.DNSError{Err: "no such host", Name: "web1", IsNotFound: true}), []string{"does not resolve", "/etc/hosts"}},
		{dial(&net.DNSError{Err: "i/o timeout", Name: "web1", IsTimeout: true}), []string{"does not resolve"}},
		{dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), []string{"cannot be reached", "routes"}},
		{dial(os.NewSyscallError("connect", syscall.ENETUNREACH)), []string{"cannot be reached"}},
		{dial(os.NewSyscallError("connect", syscall.ETIMEDOUT)), []string{"does not answer"}},
	} {
		expect(t, []Finding{judgePort(about{"port", "s1"}, "web1:873", rsync.Greeting{}, tt.err)}, "port", "s1", Fail, append(tt.words, "web1:873")...)
	}
}

// A login without the password proves nothing about the slave's.
func TestLoginWithoutPasswordFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pass")
	v := &visit{dest: rsync.Dest{Host: "192.0.2.1", Module: "www", User: "repl", PasswordFile: file}, err: &rsync.Error{Class: rsync.Auth, Text: "no"}}
	list := Options{}.filled().judgeLogin(v, true)
	expect(t, list, "login", v.name(), Warn, "cannot be tried without the password", file)
	must(t, os.WriteFile(file, []byte("wrong\n"), 0o600))
	list = Options{}.filled().judgeLogin(v, true)
	expect(t, list, "login", v.name(), Fail, "does not take user")
}

func TestFidelityOfSlaves(t *testing.T) {
	for motd, want := range map[string]Level{
		"syncagent links=munged owners=lost": Warn,
		"syncagent links=munged owners=kept": Warn,
		"syncagent links=kept owners=kept":   "",
		"welcome to links=munged":            "",
	} {
		net := fakeNetwork{greeting: rsync.Greeting{Protocol: "32.0", MOTD: []string{"hello", motd}}}
		list := ask(t, Options{Network: net}, target("s1", "192.0.2.1", 873))
		if want == "" {
			absent(t, list, "fidelity", Warn)
		} else {
			expect(t, list, "fidelity", "s1", want, "as root")
		}
	}
}

// TestOrder: findings stand in the order of the configuration, and a daemon that
// serves two targets is greeted once.
func TestOrder(t *testing.T) {
	var targets strings.Builder
	for i := range 20 {
		targets.WriteString(target(fmt.Sprintf("s%02d", i), fmt.Sprintf("192.0.2.%d", i/2), 873))
	}
	list := ask(t, Options{Network: fakeNetwork{greeting: rsync.Greeting{Protocol: "32.0"}}}, targets.String())
	var ports, logins []string
	for _, f := range list {
		switch f.Check {
		case "port":
			ports = append(ports, f.Subject)
		case "login":
			logins = append(logins, f.Subject)
		}
	}
	if got := strings.Join(ports, " "); got != "s00 s02 s04 s06 s08 s10 s12 s14 s16 s18" {
		t.Errorf("ports: %s", got)
	}
	if len(logins) != 20 || logins[0] != "www on s00" || logins[19] != "www on s19" {
		t.Errorf("logins: %v", logins)
	}
}

func TestMaster(t *testing.T) {
	www := t.TempDir()
	c := master(t, www, "targets:\n"+target("s1", "192.0.2.1", 873)+"  s2: {host: 192.0.2.2, auth: {password_file: /nonexistent/pass}}\n")
	inotify := fakeInotify{www: {Directories: 1, Limit: 65536, Instances: 128}}
	list := Master(context.Background(), c, Options{System: healthy(), Network: fakeNetwork{greeting: rsync.Greeting{Protocol: "32.0"}}, Inotify: inotify})
	expect(t, list, "state", c.StateDir, OK)
	expect(t, list, "disk", c.StateDir, OK)
	expect(t, list, "password", c.Auth.PasswordFile, OK)
	expect(t, list, "password", "/nonexistent/pass", Fail, "does not exist", "agent init master")
	expect(t, list, "source", "www", Warn, "empty")
	expect(t, list, "inotify", "this host", OK, "1 directories")
	expect(t, list, "login", "www on s2", OK)

	must(t, os.Chmod(c.Auth.PasswordFile, 0o644))
	list = Master(context.Background(), c, Options{System: healthy(), Network: fakeNetwork{}})
	expect(t, list, "password", c.Auth.PasswordFile, Fail, "mode 0644", "chmod 600")

	c.ModuleSpecs[0].Filter = []string{"nonsense"}
	expect(t, Master(context.Background(), c, Options{System: healthy()}), "config", "", Fail, "nonsense")
}
