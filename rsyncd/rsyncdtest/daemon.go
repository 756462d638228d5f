package rsyncdtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"syncagent/rsyncd"
)

// Module is a module of a test daemon.
type Module struct {
	Name string
	Path string // "" is a new directory
	// ReadOnly lets clients pull instead of push.
	ReadOnly bool
}

// Options says what a test daemon serves. The zero Options serve one module
// called "data" in a new directory.
type Options struct {
	Modules        []Module
	User           string // "" is "repl"
	Password       string // "" is "secret"
	MaxConnections int
	Timeout        int // seconds; 0 is the receiver's default
	// Edit changes the receiver's configuration before it is written.
	Edit func(*rsyncd.Conf)
}

// Daemon is a real rsync daemon on the loopback. Its methods fail the test.
type Daemon struct {
	Addr         string // host:port
	Host         string
	Port         int
	User         string
	PasswordFile string // for a client, mode 0600
	SecretsFile  string
	ConfFile     string
	Conf         rsyncd.Conf

	t       testing.TB
	logFile string
	child   *child // nil when stopped
}

// startTries is how often a port that was free may turn out taken.
const startTries = 5

// patience bounds waits for a daemon.
const patience = 20 * time.Second

// Start starts a daemon, waits until it greets, and ends it with the test.
func Start(t testing.TB, opt Options) *Daemon {
	t.Helper()
	dir := t.TempDir()
	opt = opt.withDefaults(t)
	d := &Daemon{
		t: t, Host: "127.0.0.1", User: opt.User,
		PasswordFile: filepath.Join(dir, "rsync.pass"),
		SecretsFile:  filepath.Join(dir, "rsyncd.secrets"),
		ConfFile:     filepath.Join(dir, "rsyncd.conf"),
		logFile:      filepath.Join(dir, "rsyncd.log"),
	}
	d.write(d.PasswordFile, opt.Password+"\n")
	d.write(d.SecretsFile, opt.User+":"+opt.Password+"\n")
	t.Cleanup(d.Kill) // TERM would cost half a second
	for range startTries {
		d.configure(opt, dir)
		if d.launch() {
			return d
		}
	}
	t.Fatalf("no port to be had in %d tries; the daemon's log:\n%s", startTries, d.Log())
	return nil
}

func (o Options) withDefaults(t testing.TB) Options {
	if o.User == "" {
		o.User = "repl"
	}
	if o.Password == "" {
		o.Password = "secret"
	}
	if len(o.Modules) == 0 {
		o.Modules = []Module{{Name: "data"}}
	}
	o.Modules = append([]Module(nil), o.Modules...)
	for i := range o.Modules {
		if o.Modules[i].Path == "" {
			o.Modules[i].Path = t.TempDir()
		}
	}
	return o
}

func (d *Daemon) configure(opt Options, dir string) {
	d.t.Helper()
	d.Port = freePort(d.t)
	d.Addr = net.JoinHostPort(d.Host, strconv.Itoa(d.Port))
	spec := rsyncd.Spec{
		Root: os.Geteuid() == 0, Address: d.Host, Port: d.Port, User: opt.User,
		SecretsFile: d.SecretsFile, Allow: []string{"127.0.0.1"},
		MaxConnections: opt.MaxConnections, Timeout: opt.Timeout,
		PIDFile: filepath.Join(dir, "rsyncd.pid"), LogFile: d.logFile, LockFile: filepath.Join(dir, "rsyncd.lock"),
	}
	for _, m := range opt.Modules {
		spec.Modules = append(spec.Modules, rsyncd.ModuleSpec{Name: m.Name, Path: m.Path, ReadOnly: m.ReadOnly})
	}
	d.Conf = rsyncd.Receiver(spec)
	if opt.Edit != nil {
		opt.Edit(&d.Conf)
	}
	d.WriteConf(d.Conf)
}

// WriteConf replaces the daemon's file by c; it counts from the next connection
// on.
func (d *Daemon) WriteConf(c rsyncd.Conf) {
	d.t.Helper()
	d.Conf = c
	tmp := d.ConfFile + ".new"
	d.write(tmp, string(c.Render()))
	if err := os.Rename(tmp, d.ConfFile); err != nil {
		d.t.Fatal(err)
	}
}

func (d *Daemon) write(file, content string) {
	d.t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// launch starts the process and waits for its greeting; false says that the
// port was taken.
func (d *Daemon) launch() bool {
	d.t.Helper()
	d.child = startChild(d.t, Rsync(d.t), "--daemon", "--no-detach", "--config="+d.ConfFile)
	deadline := time.Now().Add(patience)
	for {
		err := d.Greeting(context.Background())
		if err == nil && !d.child.ended() {
			return true
		}
		if d.child.ended() {
			d.child = nil
			if strings.Contains(d.Log(), "bind() failed") {
				return false
			}
			d.t.Fatalf("the rsync daemon ended at once; its log:\n%s", d.Log())
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("the rsync daemon does not greet: %v; its log:\n%s", err, d.Log())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Greeting connects and waits for the daemon's first line.
func (d *Daemon) Greeting(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", d.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "@RSYNCD: ") {
		return fmt.Errorf("greeting is %q", line)
	}
	return nil
}

// URL is the module's root as a client names it.
func (d *Daemon) URL(module string) string {
	return fmt.Sprintf("rsync://%s@%s/%s/", d.User, d.Addr, module)
}

// Path is the module's directory.
func (d *Daemon) Path(module string) string {
	d.t.Helper()
	m, ok := d.Conf.Module(module)
	if !ok {
		d.t.Fatalf("the daemon has no module %q", module)
	}
	return m.Path
}

// Log is what the daemon logged so far.
func (d *Daemon) Log() string {
	b, err := os.ReadFile(d.logFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.t.Error(err)
	}
	return string(b)
}

// PID is the daemon's process and process group, 0 when it is stopped.
func (d *Daemon) PID() int {
	if d.child == nil {
		return 0
	}
	return d.child.cmd.Process.Pid
}

// Kill ends the daemon and its sessions as a crash would, and waits.
func (d *Daemon) Kill() { d.end(syscall.SIGKILL) }

// Stop ends the daemon and its sessions in order, and waits. It may be called
// any number of times.
func (d *Daemon) Stop() { d.end(syscall.SIGTERM) }

func (d *Daemon) end(sig syscall.Signal) {
	if d.child != nil {
		d.child.stop(sig)
		d.child = nil
	}
}

// Restart starts the daemon again, on the same port, ending it before if it
// runs.
func (d *Daemon) Restart() {
	d.t.Helper()
	d.Stop()
	if !d.launch() {
		d.t.Fatalf("port %d was taken meanwhile", d.Port)
	}
}

// Suspend stops the daemon and its sessions where they are, as a hung host
// would. The kernel goes on accepting connections.
func (d *Daemon) Suspend() { d.signal(syscall.SIGSTOP) }

// Resume lets a suspended daemon go on.
func (d *Daemon) Resume() { d.signal(syscall.SIGCONT) }

func (d *Daemon) signal(sig syscall.Signal) {
	d.t.Helper()
	if d.child == nil {
		d.t.Fatal("the daemon is stopped")
	}
	d.child.signal(sig)
}

// Rsync returns the path of the installed rsync.
func Rsync(t testing.TB) string {
	t.Helper()
	bin, err := exec.LookPath("rsync")
	if err != nil {
		t.Fatalf("these tests need rsync: %v; install the package rsync", err)
	}
	return bin
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
