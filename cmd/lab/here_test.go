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
	must(t, os.WriteFile(dir+"/lists.yml", []byte(lists), 0o600))
	must(t, os.WriteFile(dir+"/inventory.yml", []byte(hosts), 0o600))
	if out := run("ansible-playbook", "-i", dir+"/inventory.yml", dir+"/lists.yml"); !strings.Contains(out, "ok=3") {
		t.Errorf("the lists that are made from an inventory:\n%s", out)
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

// hosts is an inventory of two masters, one of which is also a slave.
const hosts = `---
all:
  vars:
    modules:
      - {name: www, path: /www, source: /src, masters: [m1], slaves: [old, relay], uid: web, options: {delete: false}}
      - {name: bbs, path: /bbs}
agent_masters:
  hosts:
    m1: {ansible_host: 10.0.0.1}
    relay: {ansible_host: relay.example.com, agent_master_comes_from: 10.0.0.0/30}
    local: {ansible_host: localhost}
    "fd00::4":
agent_slaves:
  hosts:
    relay:
    s1: {ansible_host: "fd00::1", agent_slave_port: 8730}
    s2: {agent_slave_reachable_at: s2.example.com}
  children:
    old: {hosts: {s3: {agent_common_modules: []}}}
`

// lists asserts what the filters make of it.
const lists = `---
- hosts: m1
  gather_facts: false
  tasks:
    - ansible.builtin.assert:
        that:
          - groups.agent_slaves | syncagent.agent.agent_targets(hostvars, 'relay') == targets[1:]
          - groups.agent_slaves | syncagent.agent.agent_targets(hostvars, 'm1') == targets
          - modules | syncagent.agent.agent_slave_modules('s1', groups) == {'bbs':{'path':'/bbs'}}
          - modules | syncagent.agent.agent_slave_modules('s3', groups) == {'www':{'path':'/www', 'uid':'web'}, 'bbs':{'path':'/bbs'}}
          - modules | syncagent.agent.agent_master_modules(targets, groups, 'relay') == {'bbs':{'path':'/bbs'}}
          - modules | syncagent.agent.agent_master_modules(targets, groups, 'm1')
            == {'www':{'path':'/src', 'targets':['relay', 's3'], 'delete':false}, 'bbs':{'path':'/bbs'}}
          - groups.agent_masters | syncagent.agent.agent_comes_from(hostvars) == ['10.0.0.1', '10.0.0.0/30', 'local', 'fd00::4']
          - "['10.0.0.1', 'local', 'fd00::/8', '10.0.0.1/33'] | syncagent.agent.agent_no_addresses == ['local', '10.0.0.1/33']"
          - modules | syncagent.agent.agent_contested('s3', ['m1', 'relay'], hostvars, groups) == ['bbs by m1 and relay']
          - modules | syncagent.agent.agent_contested('relay', ['m1', 'relay'], hostvars, groups) == []
          - modules | syncagent.agent.agent_contested('s1', ['m1', 's3'], hostvars, groups) == []
          - "[{'check':'source','subject':'www','text':'gone','remedy':'make it'}, {'check':'doctor','text':'silent'}] | syncagent.agent.agent_said
            == ['source www: gone; make it', 'doctor: silent']"
      vars:
        targets:
          - {name: relay, host: relay.example.com}
          - {name: s1, host: "fd00::1", port: 8730}
          - {name: s2, host: s2.example.com}
          - {name: s3, host: s3}
    - ansible.builtin.debug:
        msg: "{{ (modules + modules) | syncagent.agent.agent_slave_modules('s1', groups) }}"
      register: twice
      ignore_errors: true
    - ansible.builtin.assert:
        that: twice.msg is search('module bbs stands twice')
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
