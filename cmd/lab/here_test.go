package lab

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestModuleHere is the short form, for machines without hosts to spare: the
// module through the real Ansible, on this machine, in a directory.
func TestModuleHere(t *testing.T) {
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		t.Fatalf("the tests need ansible-core: %v", err)
	}
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "ANSIBLE_COLLECTIONS_PATH="+dir, "ANSIBLE_NOCOLOR=1", "LC_ALL=C.UTF-8", "ANSIBLE_LOCALHOST_WARNING=False",
			"ANSIBLE_LOCAL_TEMP="+dir+"/tmp", "ANSIBLE_REMOTE_TEMP="+dir+"/tmp", "CGO_ENABLED=0", "PATH="+dir+"/bin:"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	must(t, os.MkdirAll(dir+"/ansible_collections/syncagent", 0o755))
	must(t, os.Symlink(root(), dir+"/ansible_collections/syncagent/agent"))
	must(t, os.MkdirAll(dir+"/bin", 0o755))
	run("go", "build", "-o", dir+"/program", root()+"/cmd/agent")
	must(t, os.WriteFile(dir+"/play.yml", []byte(strings.ReplaceAll(here, "DIR", dir)), 0o600))
	play := func(args ...string) string {
		return run(append([]string{"ansible-playbook", "-i", "localhost,", "-c", "local", dir + "/play.yml", "-vvvv", "--diff"}, args...)...)
	}
	all := play("--check") // there is no agent yet: the controller's is asked
	if _, err := os.Stat(dir + "/s"); err == nil || !strings.Contains(all, "rsyncd.conf") || !strings.Contains(all, "changed=2") {
		t.Errorf("a check run does not foretell, or writes:\n%s", all)
	}
	must(t, os.Rename(dir+"/program", dir+"/bin/agent"))
	out := play()
	if !strings.Contains(out, "changed=2") {
		t.Errorf("the first run:\n%s", out)
	}
	all += out
	before := listing(t, dir+"/s") + listing(t, dir+"/m")
	out = play()
	if !strings.Contains(out, "changed=0") || listing(t, dir+"/s")+listing(t, dir+"/m") != before {
		t.Errorf("the second run changes something:\n%s", out)
	}
	all += out
	if strings.Contains(all, canary) {
		t.Error("the password is said")
	}
	for _, syntax := range []string{"site", "rotate", "upgrade", "verify", "uninstall"} {
		run("ansible-playbook", "-i", "localhost,", "--syntax-check", root()+"/playbooks/"+syntax+".yml")
	}
	if doc := run("ansible-doc", "syncagent.agent.agent_init"); !strings.Contains(doc, "controller_program") {
		t.Errorf("ansible-doc:\n%s", doc)
	}
}

const here = `---
- hosts: localhost
  gather_facts: false
  tasks:
    - syncagent.agent.agent_init:
        role: slave
        dir: DIR/s
        service: none
        config: {address: 127.0.0.1, port: 8799, allow: [127.0.0.1], modules: {www: {path: DIR/s/www}}}
        users: [{name: repl, password: ` + canary + `}]
        controller_program: DIR/program
    - syncagent.agent.agent_init:
        role: master
        dir: DIR/m
        service: none
        config: {targets: {s1: {host: 127.0.0.1, port: 8799}}, modules: {www: {path: DIR/m/www}}}
        password: ` + canary + `
        controller_program: DIR/program
`

func listing(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("find", dir, "-printf", "%y %m %u %s %T@ %p\n").Output()
	must(t, err)
	return string(bytes.TrimSpace(out))
}

// TestShim: the word that makes Ansible send JSON, and an answer without agent.
func TestShim(t *testing.T) {
	shim := filepath.Join(root(), "plugins/modules/agent_init")
	text, err := os.ReadFile(shim)
	must(t, err)
	if !bytes.Contains(text, []byte("WANT_JSON")) {
		t.Error("Ansible would send other arguments")
	}
	if _, err := os.Stat("/usr/local/bin/agent"); err == nil {
		return // installed on this machine: it would answer
	}
	cmd := exec.Command("/bin/sh", shim, "/dev/null")
	cmd.Env = []string{"PATH=/nowhere"}
	if out, err := cmd.Output(); err == nil || !bytes.Contains(out, []byte(`"failed": true`)) {
		t.Errorf("without agent: %v, %s", err, out)
	}
}
