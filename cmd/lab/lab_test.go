package lab

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The hosts: a master and three slaves, as the inventory names them.
var (
	suites = []string{"bookworm", "bullseye", "bookworm", "trixie"}
	hostOf = map[string]string{"m1": "h1", "s1": "h2", "s2": "h3", "s3": "h4"}
)

const canary = "Canary-7q-first" // a password that must be nowhere

var project string // directory of inventories, ansible.cfg, the program and the installed collection

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv("AGENT_LAB") == "" {
		return m.Run()
	}
	if why := unable(); why != "" {
		fmt.Fprintln(os.Stderr, "lab: the tests of the Ansible collection cannot run here: "+why)
		if os.Getenv("CI") == "true" {
			return 1
		}
		fmt.Fprintln(os.Stderr, "lab: NOT TESTED; with CI=true this is a failure")
		return 0
	}
	defer func() {
		_ = script(nil, "down") // nothing more can be done
		os.RemoveAll(project)
	}()
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		return 1
	}
	return m.Run()
}

// unable says why the lab cannot run on this machine.
func unable() string {
	if os.Geteuid() != 0 {
		return "they need root"
	}
	for _, tool := range []string{"systemd-nspawn", "mmdebstrap", "ip", "ssh-keygen", "ansible-playbook", "strace", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "they need " + tool
		}
	}
	if out, err := exec.Command("unshare", "--mount", "--net", "true").CombinedOutput(); err != nil {
		return "they need namespaces: " + strings.TrimSpace(string(out))
	}
	return ""
}

// prepare builds the images, the program and the collection, and installs the
// last one the way a user does.
func prepare() error {
	var err error
	if project, err = os.MkdirTemp("", "agl"); err != nil { // short: ssh's socket lies below it
		return err
	}
	_ = script(nil, "down") // what a killed run left
	if err := script(nil, append([]string{"build"}, "bullseye", "bookworm", "trixie")...); err != nil {
		return err
	}
	for _, c := range [][]string{
		{"go", "build", "-trimpath", "-ldflags=-s -w", "-o", project + "/bin/agent-linux-amd64", "./cmd/agent"},
		{"ansible-galaxy", "collection", "build", "--output-path", project, "."},
		{"ansible-galaxy", "collection", "install", "--offline", "-p", project + "/coll", project + "/syncagent-agent-1.0.0.tar.gz"},
	} {
		cmd := exec.Command(c[0], c[1:]...)
		cmd.Dir = root()
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "LC_ALL=C.UTF-8", "ANSIBLE_COLLECTIONS_PATH="+project+"/coll")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(c, " "), err, out)
		}
	}
	if err := sums(project + "/bin"); err != nil {
		return err
	}
	return os.WriteFile(project+"/ansible.cfg", []byte(`[defaults]
host_key_checking = False
private_key_file = `+images()+`/key
collections_path = `+project+`/coll
interpreter_python = auto_silent
retry_files_enabled = False
nocows = True
forks = 10
[ssh_connection]
pipelining = True
ssh_args = -o ControlMaster=auto -o ControlPersist=30s -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ServerAliveInterval=3 -o ServerAliveCountMax=2
control_path_dir = `+project+`/cp
`), 0o600)
}

func sums(dir string) error {
	var b bytes.Buffer
	names, err := filepath.Glob(dir + "/agent-linux-*")
	if err != nil {
		return err
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(data), filepath.Base(name))
	}
	return os.WriteFile(dir+"/SHA256SUMS", b.Bytes(), 0o644)
}

func root() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}

func images() string {
	if dir := os.Getenv("LAB_DIR"); dir != "" {
		return dir
	}
	return "/var/tmp/agent-lab"
}

func prefix() string {
	if p := os.Getenv("LAB_PREFIX"); p != "" {
		return p
	}
	return "agl"
}

// script runs lab.sh. Output goes to a file: hosts keep a pipe open.
func script(env []string, args ...string) error {
	log, err := os.CreateTemp("", "lab")
	if err != nil {
		return err
	}
	defer os.Remove(log.Name())
	defer log.Close()
	cmd := exec.Command("./lab.sh", args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(log.Name()) // it is only to explain
		return fmt.Errorf("lab.sh %s: %w\n%s", strings.Join(args, " "), err, text)
	}
	return nil
}

func need(t *testing.T) {
	t.Helper()
	if os.Getenv("AGENT_LAB") == "" {
		t.Skip("boots hosts: run by \"make ansible\"")
	}
}

// fresh boots hosts that were never touched.
func fresh(t *testing.T, suites ...string) {
	t.Helper()
	need(t)
	boot(t, nil, suites...)
}

func boot(t *testing.T, env []string, on ...string) {
	t.Helper()
	if len(on) == 0 {
		on = suites
	}
	must(t, script(nil, "down"))
	must(t, script(env, append([]string{"up"}, on...)...))
	t.Cleanup(func() {
		if t.Failed() {
			for _, h := range []string{"h1", "h2", "h3", "h4"} {
				out, _ := exec.Command("./lab.sh", "exec", h, "journalctl", "-q", "-n", "25", "-u", "syncagent*", "--no-pager").CombinedOutput()
				t.Logf("journal of %s:\n%s", h, out)
			}
		}
	})
}

// converged boots hosts on which the site was applied. The first test that asks
// applies it; the others get a copy of what it wrote.
func converged(t *testing.T) {
	t.Helper()
	need(t)
	seed := project + "/seed"
	if _, err := os.Stat(seed); err != nil {
		fresh(t)
		for _, h := range hostOf {
			_, _ = tryHost(h, "systemctl", "is-system-running", "--wait") // a first boot writes, too; how it went does not matter
			must(t, os.WriteFile(project+"/fresh-"+h, []byte(manifest(t, h)), 0o600))
		}
		source(t)
		play(t, inventory{}, "site").ok(t)
		synced(t, "www/first")
		must(t, os.MkdirAll(seed, 0o700))
		for _, h := range hostOf {
			command(t, "./lab.sh", "exec", h, "sync")
			command(t, "cp", "-a", upper(h), seed+"/"+h)
			// Those of a running host would make the next one find itself running.
			must(t, os.RemoveAll(seed+"/"+h+"/run"))
		}
		// A copy of a source directory is another directory, and what does not
		// stand where it was is not pushed.
		must(t, os.RemoveAll(seed+"/h1/var/lib/syncagent/journal"))
		return
	}
	boot(t, []string{"LAB_SEED=" + seed})
	eventually(t, func() error {
		for name, h := range hostOf {
			unit := "syncagent-receiver"
			if name == "m1" {
				unit = "syncagent"
			}
			if out, err := tryHost(h, "systemctl", "is-active", unit); err != nil {
				return fmt.Errorf("%s: %s", name, out)
			}
		}
		return nil
	})
}

func hostRoot(h string) string { return filepath.Join(images(), prefix(), h, "root") }
func upper(h string) string    { return filepath.Join(images(), prefix(), h, "upper") }

// source puts something to replicate onto the master.
func source(t *testing.T) {
	t.Helper()
	for _, m := range []string{"www", "bbs"} {
		must(t, os.MkdirAll(hostRoot("h1")+"/www/"+m, 0o755))
		must(t, os.WriteFile(hostRoot("h1")+"/www/"+m+"/first", []byte(m), 0o644))
	}
}

// synced waits until a file of the master stands on every slave.
func synced(t *testing.T, name string) {
	t.Helper()
	want, err := os.ReadFile(hostRoot("h1") + "/www/" + name)
	must(t, err)
	eventually(t, func() error {
		for _, h := range []string{"h2", "h3", "h4"} {
			got, err := os.ReadFile(hostRoot(h) + "/www/" + name)
			if err != nil || !bytes.Equal(got, want) {
				return fmt.Errorf("%s on %s: %q, %v", name, h, got, err)
			}
		}
		return nil
	})
}

func eventually(t *testing.T, ask func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = ask(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func tryHost(h string, args ...string) (string, error) {
	out, err := exec.Command("./lab.sh", append([]string{"exec", h}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// onHost runs a command on a host of the inventory.
func onHost(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := tryHost(hostOf[name], args...)
	if err != nil {
		t.Fatalf("%s: %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// result is what became of a play.
type result struct {
	out  string
	code int
}

// play runs a playbook of the installed collection, or a file.
func play(t *testing.T, inv inventory, playbook string, args ...string) result {
	t.Helper()
	if !strings.Contains(playbook, "/") {
		playbook = "syncagent.agent." + playbook
	}
	return ansible(t, nil, append([]string{"ansible-playbook", "-i", inv.write(t), playbook}, args...)...)
}

// ansible runs one of Ansible's commands inside of the lab's network.
func ansible(t *testing.T, env []string, args ...string) result {
	t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", prefix() + "-ctl"}, args...)...)
	cmd.Dir = project
	cmd.Env = append(os.Environ(), "ANSIBLE_CONFIG="+project+"/ansible.cfg", "ANSIBLE_NOCOLOR=1", "LC_ALL=C.UTF-8")
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	start := time.Now()
	out, err := cmd.CombinedOutput()
	t.Logf("%s: %.1f s", strings.Join(args, " "), time.Since(start).Seconds())
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return result{string(out), cmd.ProcessState.ExitCode()}
}

func (r result) ok(t *testing.T) result {
	t.Helper()
	if r.code != 0 {
		t.Fatalf("the play failed:\n%s", r.out)
	}
	return r
}

func (r result) fails(t *testing.T, want string) result {
	t.Helper()
	if r.code == 0 || !strings.Contains(flat(r.out), want) {
		t.Fatalf("exit code %d, want a failure with %q:\n%s", r.code, want, r.out)
	}
	return r
}

// flat undoes what Ansible does to long lines and quotes.
func flat(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(s, `\"`, `"`)), " ")
}

var recap = regexp.MustCompile(`(?m)^(\S+)\s+: ok=\d+\s+changed=(\d+)`)

// changed is the number of changes of each host.
func (r result) changed() map[string]int {
	n := map[string]int{}
	for _, m := range recap.FindAllStringSubmatch(r.out, -1) {
		n[m[1]], _ = strconv.Atoi(m[2]) // digits
	}
	return n
}

func (r result) nothing(t *testing.T) result {
	t.Helper()
	r.ok(t)
	if len(r.changed()) == 0 {
		t.Fatalf("no host was reached:\n%s", r.out)
	}
	for host, n := range r.changed() {
		if n != 0 {
			t.Fatalf("%s: changed=%d:\n%s", host, n, r.out)
		}
	}
	return r
}
