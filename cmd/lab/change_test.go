package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// otherProgram is a program that works the same and has another checksum.
func otherProgram(t *testing.T, change string) {
	t.Helper()
	dir := project + "/bin2"
	must(t, os.RemoveAll(dir))
	must(t, os.MkdirAll(dir, 0o755))
	data, err := os.ReadFile(project + "/bin/agent-linux-amd64")
	must(t, err)
	must(t, os.WriteFile(dir+"/agent-linux-amd64", append(data, change...), 0o755))
	must(t, sums(dir))
}

const fromBin2 = "    agent_install_source: \"{{ inventory_dir }}/bin2\"\n"

// TestUpgrade: host by host, under a stream of pushes, none of which fails.
func TestUpgrade(t *testing.T) {
	converged(t)
	otherProgram(t, "new")
	running, p, since := pids(t), push(t), now(t)
	play(t, inventory{extra: fromBin2}, "upgrade").ok(t)
	if now := pids(t); now == running {
		t.Error("the old program still runs")
	}
	play(t, inventory{extra: fromBin2}, "upgrade").nothing(t)
	p.end(t, since)
	for _, name := range []string{"m1", "s1", "s2", "s3"} {
		if sum := onHost(t, name, "tail", "-c", "3", "/usr/local/bin/agent"); sum != "new" {
			t.Errorf("%s has the old program", name)
		}
	}
}

// TestUpgradeStops: the first host that does not come back stops it, nobody after
// it is touched, and running it again goes on from there.
func TestUpgradeStops(t *testing.T) {
	converged(t)
	otherProgram(t, "new")
	before, p, since := manifests(t), push(t), now(t)
	must(t, script(nil, "cut", "h3"))
	r := play(t, inventory{extra: fromBin2}, "upgrade", "--timeout", "3")
	if r.code == 0 || r.changed()["s1"] == 0 || r.changed()["s3"] != 0 {
		t.Errorf("with s2 cut off: exit code %d, %v", r.code, r.changed())
	}
	must(t, script(nil, "mend", "h3"))
	untouched(t, before, "s2", "s3", "m1")
	play(t, inventory{extra: fromBin2}, "upgrade").ok(t)
	play(t, inventory{extra: fromBin2}, "upgrade").nothing(t)
	// A host was cut off: what is for it waits, and none is lost.
	p.end(t, since, "target=s2")
	for _, name := range []string{"m1", "s1", "s2", "s3"} {
		if sum := onHost(t, name, "tail", "-c", "3", "/usr/local/bin/agent"); sum != "new" {
			t.Errorf("%s has the old program", name)
		}
	}
	play(t, inventory{extra: fromBin2 + "    agent_install_version: 0.9.0\n"}, "upgrade").fails(t, "newer than agent_install_version")
}

// TestOffline: the program comes from the controller, is compared before it
// replaces anything, and is of the host's architecture.
func TestOffline(t *testing.T) {
	converged(t)
	before := manifests(t)
	otherProgram(t, "bad")
	must(t, os.WriteFile(project+"/bin2/SHA256SUMS", []byte(strings.Repeat("0", 64)+"  agent-linux-amd64\n"), 0o644))
	play(t, inventory{extra: fromBin2}, "site", "--tags", "agent_slave_install").fails(t, "has sha256")
	must(t, os.Remove(project+"/bin2/SHA256SUMS"))
	play(t, inventory{extra: fromBin2}, "site", "--tags", "agent_slave_install").fails(t, "has no checksum")
	play(t, inventory{extra: "    agent_install_source: /nowhere\n"}, "site", "--tags", "agent_slave_install").fails(t, "does not exist")
	untouched(t, before)

	must(t, os.WriteFile(project+"/bin2/agent-linux-arm64", []byte("arm"), 0o755))
	must(t, sums(project+"/bin2"))
	must(t, os.WriteFile(project+"/arch.yml", []byte(`---
- hosts: s1:s2
  become: true
  gather_facts: true
  tasks:
    - ansible.builtin.set_fact: {architecture: aarch64, cacheable: true}
      when: inventory_hostname == 's1'
    - ansible.builtin.import_role: {name: syncagent.agent.agent_install}
`), 0o600))
	play(t, inventory{extra: fromBin2}, project+"/arch.yml", "--check", "--diff", "-v").ok(t)
	onHost(t, "s1", "systemctl", "stop", "syncagent-receiver")
	play(t, inventory{extra: fromBin2}, project+"/arch.yml").ok(t)
	if got := onHost(t, "s1", "cat", "/usr/local/bin/agent"); got != "arm" {
		t.Errorf("s1 has a program of %d bytes", len(got))
	}
	if got := onHost(t, "s2", "tail", "-c", "3", "/usr/local/bin/agent"); got != "bad" {
		t.Errorf("s2 has %q", got)
	}
}

// TestBrokenInput: what is wrong reaches no host, the message names it, and
// everything goes on with the old configuration.
func TestBrokenInput(t *testing.T) {
	converged(t)
	before, running := manifests(t), pids(t)
	for want, inv := range map[string]inventory{
		"relativ":                                     {modules: "      - {name: www, path: www}\n"},
		`lies in "/www"`:                              {modules: "      - {name: www, path: /www}\n      - {name: bbs, path: /www/bbs}\n"},
		"agent_slave_modules.pth":                     {modules: "      - {name: www, path: /www/www, pth: x}\n"},
		"missing required arguments: path":            {modules: "      - {name: www}\n"},
		"'agent_slave_port' is of type":               {extra: "    agent_slave_port: many\n"},
		"filtr: unknown key":                          {extra: "    agent_slave_options: {filtr: 1}\n"},
		"value of agent_slave_service must be one of": {extra: "    agent_slave_service: runit\n"},
		"agent_common_password":                       {text: strings.Replace(inventory{}.render(), "agent_common_password", "agent_common_pasword", 1)},
		"control character":                           {password: `"a\tb"`},
		"nonsense!":                                   {extra: "    agent_slave_allow: [nonsense!]\n"},
		"module www stands twice":                     {modules: "      - {name: www, path: /www/www}\n      - {name: www, path: /www/neu}\n"},
		"by m0 and m1: say in masters of the module":  {text: strings.Replace(inventory{}.render(), "  hosts:\n", "  hosts:\n    m0: {ansible_host: 10.77.0.9}\n", 1)},
		"from which m0 pushes is not known":           {text: strings.Replace(inventory{}.render(), "  hosts:\n", "  hosts:\n    m0: {ansible_host: m0.example.com}\n", 1)},
		"has no module for this h":                    {modules: "      - {name: www, path: /www/www, slaves: [nobody]}\n"},
	} {
		t.Run(want, func(t *testing.T) {
			play(t, inv, "site", "--skip-tags", "agent_slave_install,agent_master_install").fails(t, want)
			untouched(t, before)
		})
	}
	if now := pids(t); now != running {
		t.Errorf("restarted:\n%s", delta(running, now))
	}
	onHost(t, "s1", "sh", "-c", "systemctl stop syncagent-receiver; rm -rf /etc/syncagent/*; systemd-run -q --unit=other rsync --daemon --no-detach --port=873 --config=/dev/null")
	before = manifests(t)
	only := []string{"--tags", "agent_slave_configure", "--limit", "s1"}
	const said = "systemctl disable --now other.service"
	if r := play(t, inventory{}, "site", append(only, "--check")...).ok(t); !strings.Contains(flat(r.out), said) {
		t.Errorf("the check run does not warn of it:\n%s", r.out)
	}
	play(t, inventory{}, "site", only...).fails(t, said)
	untouched(t, before)
}

// TestKilled: an init that is killed at any of the calls that change something on
// disk leaves no half file and no secret that others can read, and the next run
// finishes its work. The trace is this machine's, so the host needs no tool.
func TestKilled(t *testing.T) {
	converged(t)
	old := onHost(t, "s1", "cat", "/etc/syncagent/receiver.yaml") + "\n"
	next := strings.ReplaceAll(old, "max_connections: 0", "max_connections: 7")
	for name, text := range map[string]string{"old": old, "next": next, "pass": canary + "\n", "other": second + "\n"} {
		must(t, os.WriteFile(hostRoot("h2")+"/root/"+name, []byte(text), 0o600))
	}
	initAs := func(config, password string) []string {
		return []string{"./lab.sh", "exec", "h2", "agent", "init", "slave", "-c", "/root/" + config, "--password-file", "/root/" + password, "--force", "--output", "json"}
	}
	kills := 0
	for _, call := range []string{"mkdirat", "openat", "fchown", "fchmod", "fchmodat", "fsync", "renameat", "unlinkat"} {
		for n := 1; ; n++ {
			command(t, initAs("old", "pass")[0], initAs("old", "pass")[1:]...)
			only := []string{"--trace=" + call, "--inject=" + call + fmt.Sprintf(":signal=KILL:when=%d", n)}
			if call == "openat" { // of what is written, since reading changes nothing
				only = append(only, "--trace-path="+"/etc/syncagent/.receiver.yaml.syncagent-tmp")
			}
			out, err := exec.Command("strace", append(append([]string{"--follow-forks", "--quiet=all", "--output=/dev/null"}, only...), initAs("next", "other")...)...).CombinedOutput()
			wholeFiles(t, call, n)
			if err == nil {
				break
			}
			if kills++; strings.Contains(string(out), `"failed":true`) && !strings.Contains(string(out), "killed") {
				t.Fatalf("%s %d: it failed instead of being killed: %s", call, n, out)
			}
		}
	}
	t.Logf("killed %d times", kills)
	if kills < 20 {
		t.Errorf("only %d steps were seen", kills)
	}
	play(t, inventory{}, "site", "--tags", "agent_slave_configure").ok(t)
	play(t, inventory{}, "site", "--tags", "agent_slave_configure").nothing(t)
	if left := onHost(t, "s1", "sh", "-c", "ls -A /etc/syncagent /var/lib/syncagent | grep -i -e tmp -e syncagent- || true"); left != "" {
		t.Errorf("left behind: %s", left)
	}

	onHost(t, "s1", "sh", "-c", "flock /var/lib/syncagent/init.lock sleep 300 >/dev/null 2>&1 & until ! flock -n /var/lib/syncagent/init.lock true; do :; done")
	out, err := tryHost("h2", initAs("next", "pass")[3:]...)
	var report struct{ Error struct{ Code string } }
	if err == nil || json.Unmarshal([]byte(out), &report) != nil || report.Error.Code != "locked" {
		t.Errorf("beside another init: %v, %s", err, out)
	}
}

// wholeFiles fails when a file of s1 is neither the old nor the new one, or a
// secret can be read by others.
func wholeFiles(t *testing.T, call string, n int) {
	t.Helper()
	for name, ends := range map[string][]string{
		"receiver.yaml":  {"max_connections: 0", "max_connections: 7"},
		"rsyncd.conf":    {"[www]"},
		"rsyncd.secrets": {"repl:" + canary, "repl:" + second},
	} {
		text := onHost(t, "s1", "cat", "/etc/syncagent/"+name)
		if !slices.ContainsFunc(ends, func(end string) bool { return strings.Contains(text, end) }) {
			t.Fatalf("killed at %s %d: half a file: %s: %q", call, n, name, text)
		}
	}
	if open := onHost(t, "s1", "find", "/etc/syncagent", "-name", "*secrets*", "-perm", "/077"); open != "" {
		t.Fatalf("killed at %s %d: others can read %s", call, n, open)
	}
	onHost(t, "s1", "systemctl", "is-active", "syncagent-receiver")
}

// TestRemoved: what leaves the inventory leaves the configuration; the data
// stays. Uninstalled, nothing but the data is there.
func TestRemoved(t *testing.T) {
	converged(t)
	synced(t, "www/first")
	without := inventory{without: "s3", modules: "      - {name: www, path: /www/www}\n"}
	play(t, without, "site").ok(t)
	if text := onHost(t, "m1", "cat", "/etc/syncagent/agent.yaml"); strings.Contains(text, "s3") || strings.Contains(text, "bbs") {
		t.Errorf("still there:\n%s", text)
	}
	if text := onHost(t, "s1", "cat", "/etc/syncagent/rsyncd.conf"); strings.Contains(text, "bbs") {
		t.Errorf("still there:\n%s", text)
	}
	onHost(t, "s1", "ls", "/www/bbs/first")
	for range 2 {
		play(t, inventory{}, "uninstall").ok(t)
	}
	play(t, inventory{}, "uninstall").nothing(t)
	for n, name := range []string{"m1", "s1", "s2", "s3"} {
		if left := beyond(t, hostOf[name], images()+"/root-"+suites[n]); left != "" {
			t.Errorf("%s still has\n%s", name, left)
		}
		onHost(t, name, "cat", "/www/www/first")
		if out := onHost(t, name, "sh", "-c", "systemctl list-unit-files 'syncagent*' --no-legend; pgrep -l 'agent|rsync' || true; ls -d /etc/syncagent /var/lib/syncagent 2>/dev/null || true"); out != "" {
			t.Errorf("%s still has %s", name, out)
		}
	}
}

// beyond are the lines of a manifest that tell of something a host has not that was
// never touched.
func beyond(t *testing.T, h, image string) string {
	t.Helper()
	fresh, err := os.ReadFile(project + "/fresh-" + h)
	must(t, err)
	at := func(line string) string { return line[strings.LastIndexByte(line, ' ')+1:] }
	there := map[string]bool{}
	for line := range strings.Lines(string(fresh)) {
		there[at(line)] = true
	}
	var out strings.Builder
	for line := range strings.Lines(manifest(t, h)) {
		path := strings.TrimSuffix(at(line), "\n")
		info, err := os.Lstat(image + "/" + path) // a directory of the image that something was written below
		dir := err == nil && info.IsDir() && strings.HasPrefix(line, info.Mode().String()+" ")
		if !there[at(line)] && !dir {
			out.WriteString(line)
		}
	}
	return out.String()
}

// TestTags: each documented tag works alone and left out, on hosts that were
// never touched and on others; so do one slave alone and a task to start at.
func TestTags(t *testing.T) {
	fresh(t)
	source(t)
	before := manifests(t)
	play(t, inventory{}, "site", "--tags", "agent_slave_preflight,agent_master_preflight").ok(t)
	untouched(t, before)
	play(t, inventory{}, "site", "--tags", "agent_slave_install,agent_master_install").ok(t)
	play(t, inventory{}, "site", "--limit", "s1", "--skip-tags", "agent_slave_install").ok(t)
	play(t, inventory{}, "site", "--tags", "agent_slave_configure,agent_master_service,agent_slave_service,agent_master_configure").ok(t)
	synced(t, "www/first")
	for _, step := range []string{"install", "preflight", "configure", "service", "verify"} {
		for _, way := range []string{"--tags", "--skip-tags"} {
			play(t, inventory{}, "site", way, "agent_slave_"+step+",agent_master_"+step).nothing(t)
		}
	}
	for _, tags := range [][]string{
		{"--tags", "agent_slave_configure,agent_master_configure", "--start-at-task", "Push"},
		{"--limit", "s2"},
	} {
		play(t, inventory{}, "site", tags...).nothing(t)
	}
	// Nor does a tag that the user's own play puts on the roles call their uninstall.
	must(t, os.WriteFile(project+"/own.yml", []byte(`---
- hosts: agent_slaves
  become: true
  tags: [mine]
  tasks:
    - ansible.builtin.import_role: {name: syncagent.agent.agent_slave}
- hosts: agent_masters
  become: true
  tags: [mine]
  roles: [syncagent.agent.agent_master]
`), 0o600))
	play(t, inventory{}, project+"/own.yml", "--tags", "mine").nothing(t)
	play(t, inventory{}, "verify").nothing(t)
	start := time.Now()
	must(t, os.WriteFile(hostRoot("h1")+"/www/www/timed", []byte("x"), 0o644))
	synced(t, "www/timed")
	t.Logf("a file stood on all slaves after %v", time.Since(start).Round(time.Millisecond))
	if out, err := exec.Command("./lab.sh", "exec", "h2", "systemctl", "reload", "syncagent-receiver").CombinedOutput(); err != nil {
		t.Errorf("reload: %v %s", err, out)
	}
	play(t, inventory{}, "site", "--limit", "s3", "--tags", "agent_slave_uninstall").ok(t)
	if out, err := tryHost("h4", "ls", "/etc/syncagent"); err == nil {
		t.Errorf("its own tag does not uninstall: %s", out)
	}
}
