package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"syncagent/agent/status"
)

const (
	// pollRow is how often a row is asked whether it is there.
	pollRow = 20 * time.Millisecond
	// rowPatience is how long: all rows run at once, on whatever machine.
	rowPatience = 3 * time.Minute
)

// parity is the bench that the rows share.
type parity struct {
	*testing.T
	dir    string
	rows   []*parityRow
	ports  map[string]string
	client *status.Client
}

type parityRow struct {
	name, file string
	archive    *txtar.Archive
}

// section returns the content of a section, "" when it is left out.
func (r *parityRow) section(name string) string {
	for _, f := range r.archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func newParity(t *testing.T) *parity {
	t.Helper()
	p := &parity{T: t, dir: workdir(t), ports: map[string]string{}}
	for _, name := range []string{"@P@", "@Q@", "@R@"} {
		port, err := freePorts()
		p.must(err)
		p.ports[name] = port
	}
	files, err := filepath.Glob("../../testdata/sersync/parity/*.txtar")
	p.must(err)
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		p.must(err)
		p.rows = append(p.rows, &parityRow{strings.TrimSuffix(filepath.Base(file), ".txtar"), file, ar})
	}
	for _, dir := range []string{"bin", "runs", "xml"} {
		p.must(os.MkdirAll(p.at(dir), 0o755))
	}
	for _, r := range p.rows {
		p.must(os.MkdirAll(p.at("master", r.name), 0o755))
		p.must(os.MkdirAll(p.at("slave", r.name), 0o755))
		p.shell(p.at("master", r.name), r.section("master"))
		p.shell(p.at("slave", r.name), r.section("slave"))
	}
	return p
}

func (p *parity) at(parts ...string) string {
	return filepath.Join(append([]string{p.dir}, parts...)...)
}

func (p *parity) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *parity) row(name string) *parityRow {
	p.Helper()
	i := slices.IndexFunc(p.rows, func(r *parityRow) bool { return r.name == name })
	if i < 0 {
		p.Fatalf("there is no row %s", name)
	}
	return p.rows[i]
}

// shell runs a row's script.
func (p *parity) shell(dir, script string) {
	p.Helper()
	if out, err := p.sh(dir, script); err != nil {
		p.Fatalf("%s: %v\n%s", script, err, out)
	}
}

func (p *parity) sh(dir, script string) ([]byte, error) {
	cmd := exec.Command("/bin/sh", "-e", "-c", "umask 022\n"+script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "S="+p.at("slave"))
	return cmd.CombinedOutput()
}

// background starts a program until the test ends.
func (p *parity) background(name string, env []string, argv ...string) {
	p.Helper()
	log, err := os.Create(p.at(name + ".log"))
	p.must(err)
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = p.dir, log, log, append(os.Environ(), env...)
	p.must(cmd.Start())
	p.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		_ = cmd.Wait()
		if p.Failed() && name == "agent" {
			p.Log(logs(p.dir))
		}
	})
}

// serve starts one rsync daemon with a module for each row, and who listens for
// the plugins.
func (p *parity) serve() {
	p.Helper()
	conf := fmt.Sprintf("uid = root\ngid = root\nuse chroot = no\naddress = 127.0.0.1\nport = %s\nlog file = %s\nlock file = %s\nread only = no\nmunge symlinks = no\nsecrets file = %s\n",
		p.ports["@P@"], p.at("rsyncd"), p.at("lock"), p.at("secrets"))
	for _, r := range p.rows {
		conf += fmt.Sprintf("[%s]\npath = %s\n", r.name, p.at("slave", r.name))
		if r.name == "auth" {
			conf += "auth users = repl\n"
		}
	}
	p.must(os.WriteFile(p.at("rsyncd.conf"), []byte(conf), 0o644))
	p.must(os.WriteFile(p.at("secrets"), []byte("repl:pass-word\n"), 0o600))
	p.must(os.WriteFile(p.at("rsync.pas"), []byte("pass-word\n"), 0o600))
	p.background("daemon", nil, "rsync", "--daemon", "--no-detach", "--config="+p.at("rsyncd.conf"))
	p.background("ear", nil, "earpiece", p.ports["@Q@"])
	p.background("box", nil, "postbox", p.ports["@R@"])
	for _, port := range p.ports {
		p.eventually(p.T, "a listener", func() error {
			conn, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err == nil {
				err = conn.Close()
			}
			return err
		})
	}
}

// recorder stands in rsync's place: it keeps the arguments and the list of each
// run, and runs rsync.
const recorder = `#!/bin/sh
printf '%%s\n' "$@" >%[1]s/$$.argv
tee %[1]s/$$.list | %[2]s "$@"
`

// sshStub is what rsync takes for ssh: it runs the command here.
const sshStub = `#!/bin/sh
while [ "${1#-}" != "$1" ]; do
	case $1 in -[opliFS]) shift ;; esac
	shift
done
shift
PATH=%s exec /bin/sh -c "$*"
`

// run starts one agent on the files of all rows, and waits until everything is
// equal.
func (p *parity) run() {
	p.Helper()
	rsync, err := exec.LookPath("rsync")
	p.must(err)
	p.must(os.WriteFile(p.at("bin", "rsync"), fmt.Appendf(nil, recorder, p.at("runs"), rsync), 0o755))
	p.must(os.WriteFile(p.at("bin", "ssh"), fmt.Appendf(nil, sshStub, os.Getenv("PATH")), 0o755))
	argv := []string{"agent", "run", "-r", "-n", "10"}
	for _, r := range p.rows {
		for _, f := range r.archive.Files {
			if filepath.Ext(f.Name) != ".xml" {
				continue
			}
			file := p.at("xml", r.name+"_"+f.Name)
			p.must(os.WriteFile(file, []byte(p.fill(r, string(f.Data))), 0o644))
			argv = append(argv, "-o", file)
		}
	}
	// Changes of one script are one burst, also on a machine that is busy.
	p.background("agent", []string{"PATH=" + p.at("bin") + ":" + os.Getenv("PATH"), "SYNCAGENT_STATE_DIR=" + p.at("state"), "SYNCAGENT_SETTLE_QUIET=500ms", "SYNCAGENT_SETTLE_MAX=5s", "SYNCAGENT_WARM=false", "SYNCAGENT_SWEEP_CONCURRENCY=8"}, argv...)
	p.eventually(p.T, "ready", func() error { return p.says("agent.log", "msg=ready") })
	sockets, err := filepath.Glob(p.at("state", "sersync-*", "agent.sock"))
	if err != nil || len(sockets) != 1 {
		p.Fatalf("sockets: %q, %v", sockets, err)
	}
	p.client = status.NewClient(sockets[0])
	for _, r := range p.rows {
		p.idle(p.T, r)
	}
}

func (p *parity) fill(r *parityRow, text string) string {
	pairs := []string{"@M@", p.at("master", r.name), "@S@", p.at("slave"), "@W@", p.dir}
	for name, port := range p.ports {
		pairs = append(pairs, name, port)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func (p *parity) says(file, text string) error {
	data, err := os.ReadFile(p.at(file))
	if err == nil && !strings.Contains(string(data), text) {
		err = fmt.Errorf("%s does not say %q", file, text)
	}
	return err
}

func (p *parity) anybodySays(text string) error {
	var list []string
	for _, file := range []string{"agent.log", "ear.log", "box.log", "seen.log"} {
		err := p.says(file, text)
		if err == nil {
			return nil
		}
		list = append(list, err.Error())
	}
	return errors.New(strings.Join(list, "; "))
}

// eventually asks until there is no error.
func (p *parity) eventually(t *testing.T, what string, ask func() error) {
	t.Helper()
	for end := time.Now().Add(rowPatience); ; time.Sleep(pollRow) {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

// modules are what the agent says of the row's modules.
func (p *parity) modules(ctx context.Context, r *parityRow) ([]status.Module, error) {
	snap, err := p.client.Status(ctx)
	if err != nil {
		return nil, err
	}
	mine := slices.DeleteFunc(snap.Modules, func(m status.Module) bool {
		return m.Path != p.at("master", r.name) && filepath.Dir(m.Path) != p.at("master", r.name)
	})
	if len(mine) == 0 {
		return nil, fmt.Errorf("no module of row %s", r.name)
	}
	return mine, nil
}

// idle waits until nothing of the row is to be done, and returns how many
// pushes and deletes there were so far.
func (p *parity) idle(t *testing.T, r *parityRow) (pushes, deletes int64) {
	t.Helper()
	p.eventually(t, r.name+" to be idle", func() error {
		list, err := p.modules(t.Context(), r)
		pushes, deletes = 0, 0
		for _, m := range list {
			for _, target := range m.Targets {
				if strings.HasPrefix(target.Name, "127.0.0.9") { // where nobody is
					continue
				}
				if target.State != status.Idle || target.Pending > 0 || target.InSyncAsOf.IsZero() {
					return fmt.Errorf("%s is %s with %d pending, %d failing: %s", target.Name, target.State, target.Pending, target.Failing, target.LastError)
				}
				pushes, deletes = pushes+target.Batches, deletes+target.Deletes
			}
		}
		return err
	})
	return pushes, deletes
}
