package lab

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestCheckRun: on hosts that were never touched it shows every file and writes
// nothing, and what it foretells is what the real run does.
func TestCheckRun(t *testing.T) {
	fresh(t)
	source(t)
	before := manifests(t)
	check := play(t, inventory{}, "site", "--check", "--diff").ok(t)
	untouched(t, before)
	for _, file := range []string{"receiver.yaml", "rsyncd.conf", "rsyncd.secrets", "syncagent-receiver.service", "agent.yaml", "rsync-repl.pass", "60-syncagent.conf", "syncagent.service"} {
		if !strings.Contains(check.out, "+++ after: /etc/") || !strings.Contains(check.out, "/"+file+"\n") {
			t.Errorf("the check run does not show %s", file)
		}
	}
	real := play(t, inventory{}, "site", "--diff").ok(t)
	if c, r := diffs(check.out), diffs(real.out); c != r {
		t.Errorf("foretold, but not done, or the other way round:\n%s", delta(c, r))
	}
	synced(t, "www/first")
	before = manifests(t)
	play(t, inventory{}, "site", "--check", "--diff").nothing(t)
	more := inventory{modules: "      - {name: www, path: /www/www}\n      - {name: neu, path: /www/neu}\n"}
	if play(t, more, "site", "--check").ok(t).changed()["s1"] != 1 {
		t.Error("a pending change is not foretold")
	}
	untouched(t, before)
}

// diffs are the lines of a play's output that show a change of a file.
func diffs(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "+") || strings.HasPrefix(line, "-") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestSecondRun: it changes nothing, writes nothing and restarts nobody, however
// Ansible gets there.
func TestSecondRun(t *testing.T) {
	converged(t)
	before, running := manifests(t), pids(t)
	ways := map[string]struct {
		inv inventory
		env []string
	}{
		"sudo":         {},
		"root":         {inv: inventory{login: "root"}},
		"no pipelines": {env: []string{"ANSIBLE_PIPELINING=False"}},
		"no variables": {env: []string{"ANSIBLE_INJECT_FACT_VARS=False", "ANSIBLE_GATHERING=explicit"}},
		"free":         {env: []string{"ANSIBLE_STRATEGY=free"}},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			ansible(t, way.env, "ansible-playbook", "-i", way.inv.write(t), "syncagent.agent.site").nothing(t)
			untouched(t, before)
			if now := pids(t); now != running {
				t.Errorf("restarted:\n%s", delta(running, now))
			}
		})
	}
}

// TestOtherAnsible: the ansible-core of Debian 13, in a chroot.
func TestOtherAnsible(t *testing.T) {
	converged(t)
	if err := exec.Command("./lab.sh", "controller", "trixie").Run(); err != nil {
		t.Fatalf("the controller cannot be built: %v", err)
	}
	ctl := images() + "/ctl-trixie"
	inv := inventory{}.write(t)
	in := "mount --rbind /dev " + ctl + "/dev && mount -t proc proc " + ctl + "/proc && mkdir -p " + ctl + project + " && mount --bind " + project + " " + ctl + project +
		" && mkdir -p " + ctl + images() + " && mount --bind " + images() + " " + ctl + images() +
		" && exec chroot " + ctl + " sh -c 'cd " + project + " && ansible-playbook --version | head -1 && exec ansible-playbook -i " + inv + " \"$@\"' sh \"$@\""
	for _, more := range [][]string{{"syncagent.agent.site"}, {"syncagent.agent.site", "--check", "--diff"}} {
		r := ansible(t, []string{"ANSIBLE_HOME=" + project + "/home"}, append([]string{"unshare", "--mount", "--propagation", "private", "sh", "-c", in, "sh"}, more...)...).nothing(t)
		if !strings.Contains(r.out, "core 2.19") {
			t.Errorf("another version:\n%.200s", r.out)
		}
	}
	fresh(t)
	source(t)
	r := ansible(t, []string{"ANSIBLE_HOME=" + project + "/home"}, "unshare", "--mount", "--propagation", "private", "sh", "-c", in, "sh", "syncagent.agent.site", "--check", "--diff").ok(t)
	if !strings.Contains(r.out, "rsyncd.conf") {
		t.Error("no diff")
	}
	ansible(t, []string{"ANSIBLE_HOME=" + project + "/home"}, "unshare", "--mount", "--propagation", "private", "sh", "-c", in, "sh", "syncagent.agent.site").ok(t)
	synced(t, "www/first")
}

// TestDrift: whatever somebody changed by hand is repaired, that alone, and
// nobody is restarted who does not have to be.
func TestDrift(t *testing.T) {
	converged(t)
	drifts := map[string]struct{ do, want string }{
		"content":   {"echo '# mine' >> /etc/syncagent/rsyncd.conf", `"action": "update", "kind": "file", "path": "/etc/syncagent/rsyncd.conf"`},
		"settings":  {"sed -i s/allow:.*/allow:[10.0.0.9]/ /etc/syncagent/receiver.yaml", `"/etc/syncagent/receiver.yaml"`},
		"mode":      {"chmod 644 /etc/syncagent/rsyncd.secrets", `"path": "/etc/syncagent/rsyncd.secrets"`},
		"owner":     {"chown deploy /etc/syncagent/rsyncd.secrets", `"path": "/etc/syncagent/rsyncd.secrets"`},
		"deleted":   {"rm /etc/syncagent/rsyncd.conf", `"action": "create"`},
		"link":      {"mv /etc/syncagent/rsyncd.conf /tmp/c && ln -s /tmp/c /etc/syncagent/rsyncd.conf", `"/etc/syncagent/rsyncd.conf"`},
		"unit":      {"sed -i s/RestartSec=1/RestartSec=9/ /etc/systemd/system/syncagent-receiver.service", `"action": "restart"`},
		"directory": {"rmdir /www/bbs 2>/dev/null || mv /www/bbs /www/old", `"path": "/www/bbs"`},
		"stopped":   {"systemctl stop syncagent-receiver", `"action": "start"`},
		"disabled":  {"systemctl disable syncagent-receiver", `"action": "enable"`},
		"masked":    {"systemctl stop syncagent-receiver && cp /etc/systemd/system/syncagent-receiver.service /tmp/u && rm /etc/systemd/system/syncagent-receiver.service && systemctl mask syncagent-receiver", `"action": "update"`},
	}
	others := []string{"m1", "s2", "s3"}
	for name, drift := range drifts {
		t.Run(name, func(t *testing.T) {
			before := manifests(t)
			main := onHost(t, "s1", "systemctl", "show", "--property=MainPID", "syncagent-receiver")
			onHost(t, "s1", "sh", "-c", drift.do)
			r := play(t, inventory{}, "site", "--tags", "agent_slave_configure,agent_master_configure", "--diff", "-v").ok(t)
			if n := r.changed(); n["s1"] != 1 || n["s2"] != 0 || n["m1"] != 0 {
				t.Errorf("changed: %v\n%s", n, r.out)
			}
			if !strings.Contains(flat(r.out), drift.want) {
				t.Errorf("%s is not said:\n%s", drift.want, r.out)
			}
			untouched(t, before, others...)
			eventually(t, func() error {
				_, err := tryHost("h2", "systemctl", "is-active", "syncagent-receiver")
				return err
			})
			onHost(t, "s1", "systemctl", "is-enabled", "syncagent-receiver")
			now := onHost(t, "s1", "systemctl", "show", "--property=MainPID", "syncagent-receiver")
			if restarts := name == "unit" || name == "stopped" || name == "masked" || name == "directory"; now != main && !restarts {
				t.Error("restarted")
			}
		})
	}
	play(t, inventory{}, "site").nothing(t)
}

// TestReboot: every host comes back by itself.
func TestReboot(t *testing.T) {
	converged(t)
	ansible(t, nil, "ansible", "-i", inventory{}.write(t), "all", "-b", "-m", "ansible.builtin.reboot").ok(t)
	must(t, os.WriteFile(hostRoot("h1")+"/www/www/after", []byte("reboot"), 0o644))
	synced(t, "www/after")
	play(t, inventory{}, "site").nothing(t)
}
