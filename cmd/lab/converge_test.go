package lab

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCheckRun: on hosts that were never touched it shows every file and writes
// nothing, and what it foretells is what the real run does.
func TestCheckRun(t *testing.T) {
	fresh(t)
	source(t)
	before := manifests(t)
	check := play(t, inventory{}, "site", "--check", "--diff", "-v").ok(t)
	untouched(t, before)
	for _, file := range []string{"receiver.yaml", "rsyncd.conf", "rsyncd.secrets", "syncagent-receiver.service", "agent.yaml", "rsync-repl.pass", "60-syncagent.conf", "syncagent.service"} {
		if !strings.Contains(check.out, "+++ after: /etc/") || !strings.Contains(check.out, "/"+file+"\n") {
			t.Errorf("the check run does not show %s", file)
		}
	}
	foretold(t, check, play(t, inventory{}, "site", "--diff", "-v").ok(t))
	synced(t, "www/first")
	before = manifests(t)
	play(t, inventory{}, "site", "--check", "--diff").nothing(t)
	more := inventory{modules: "      - {name: www, path: /www/www}\n      - {name: neu, path: /www/neu}\n"}
	must(t, os.Mkdir(hostRoot("h1")+"/www/neu", 0o755))
	check = play(t, more, "site", "--check", "--diff", "-v").ok(t)
	untouched(t, before)
	foretold(t, check, play(t, more, "site", "--diff", "-v").ok(t))
}

// foretold fails unless a check run showed what the real run then did: the tasks
// that change something, each entry of what agent_init reports, each line of a diff.
func foretold(t *testing.T, check, real result) {
	t.Helper()
	if c, r := diffs(check.out), diffs(real.out); c != r {
		t.Errorf("lines foretold, but not done, or the other way round:\n%s", delta(c, r))
	}
	c, r := check.changes(t), real.changes(t)
	if c != r {
		t.Errorf("changes foretold, but not done, or the other way round:\n%s", delta(c, r))
	}
	for host, n := range real.changed() {
		if check.changed()[host] != n {
			t.Errorf("%s: %d tasks change something, foretold are %d", host, n, check.changed()[host])
		}
	}
	if !strings.Contains(r, `"path":"/etc/syncagent/rsyncd.conf"`) || !strings.Contains(r, "m1 ") {
		t.Errorf("these changes are not all:\n%s", r)
	}
}

// changes are the entries of the reports of agent_init, a line each with the host
// before it. The play was told -v.
func (r result) changes(t *testing.T) string {
	t.Helper()
	var lines []string
	for _, at := range regexp.MustCompile(`(?m)^(?:ok|changed): \[(\S+)\] => `).FindAllStringSubmatchIndex(r.out, -1) {
		var report struct{ Changes []map[string]any }
		if json.NewDecoder(strings.NewReader(r.out[at[1]:])).Decode(&report) != nil {
			continue // another module's
		}
		for _, c := range report.Changes {
			line, err := json.Marshal(c) // its keys are sorted
			must(t, err)
			lines = append(lines, r.out[at[2]:at[3]]+" "+string(line)+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// diffs are the lines of a play's output that show a change of a file, sorted: which
// host answers first is anyone's guess.
func diffs(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "+") || strings.HasPrefix(line, "-") {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
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

// TestDriftOfTheMaster: so too on the other end.
func TestDriftOfTheMaster(t *testing.T) {
	converged(t)
	for name, drift := range map[string]struct{ do, want string }{
		"settings": {"sed -i s/10.77.0.12/10.77.0.99/ /etc/syncagent/agent.yaml", `"/etc/syncagent/agent.yaml"`},
		"mode":     {"chmod 644 /etc/syncagent/rsync-repl.pass", `"path": "/etc/syncagent/rsync-repl.pass"`},
		"password": {"echo another > /etc/syncagent/rsync-repl.pass", `"path": "/etc/syncagent/rsync-repl.pass"`},
		"sysctl":   {"rm /etc/sysctl.d/60-syncagent.conf", `"action": "create"`},
		"unit":     {"sed -i s/RestartSec=1/RestartSec=9/ /etc/systemd/system/syncagent.service", `"action": "restart"`},
		"stopped":  {"systemctl stop syncagent", `"action": "start"`},
		"disabled": {"systemctl disable syncagent", `"action": "enable"`},
	} {
		t.Run(name, func(t *testing.T) {
			before := manifests(t)
			onHost(t, "m1", "sh", "-c", drift.do)
			r := play(t, inventory{}, "site", "--tags", "agent_slave_configure,agent_master_configure", "--diff", "-v").ok(t)
			if n := r.changed(); n["m1"] != 1 || n["s1"]+n["s2"]+n["s3"] != 0 || !strings.Contains(flat(r.out), drift.want) {
				t.Errorf("changed: %v, want %s of m1 alone:\n%s", n, drift.want, r.out)
			}
			untouched(t, before, "s1", "s2", "s3")
			onHost(t, "m1", "systemctl", "is-enabled", "syncagent")
			onHost(t, "m1", "systemctl", "is-active", "syncagent")
		})
	}
	play(t, inventory{}, "site").nothing(t)
	must(t, os.WriteFile(hostRoot("h1")+"/www/www/mended", []byte("x"), 0o644))
	synced(t, "www/mended")
}

// TestReboot: every host comes back by itself.
func TestReboot(t *testing.T) {
	converged(t)
	ansible(t, nil, "ansible", "-i", inventory{}.write(t), "all", "-b", "-m", "ansible.builtin.reboot").ok(t)
	must(t, os.WriteFile(hostRoot("h1")+"/www/www/after", []byte("reboot"), 0o644))
	synced(t, "www/after")
	play(t, inventory{}, "site").nothing(t)
}
