package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestCollection: the linters, the documentation, and what
// is in the package.
func TestCollection(t *testing.T) {
	need(t)
	at := project + "/lint/ansible_collections/syncagent/agent"
	must(t, os.MkdirAll(filepath.Dir(at), 0o755))
	if err := os.Symlink(root(), at); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	in := func(dir string, args ...string) string {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "ANSIBLE_COLLECTIONS_PATH="+project+"/lint", "NO_COLOR=1", "LC_ALL=C.UTF-8", "PWD="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	if out := in(at, "ansible-lint", "--offline", "--nocolor"); !strings.Contains(out, "production") {
		t.Errorf("another profile:\n%s", out)
	}
	in(at, "yamllint", "-s", "galaxy.yml", "meta", "roles", "playbooks", "plugins", "docs/ci", ".ansible-lint", ".yamllint")
	for _, role := range []string{"agent_install", "agent_master", "agent_slave"} {
		if out := in(project, "ansible-doc", "-t", "role", "syncagent.agent."+role); !strings.Contains(out, role) {
			t.Errorf("ansible-doc of %s:\n%s", role, out)
		}
	}
	out := in(project, "tar", "tzf", project+"/syncagent-agent-1.0.0.tar.gz")
	for line := range strings.Lines(out) {
		if regexp.MustCompile(`\.go$|^(bin|cmd|agent|rsyncd|testdata|\.git)/`).MatchString(strings.TrimSpace(line)) {
			t.Errorf("the package holds %s", line)
		}
	}
	for _, file := range []string{"roles/agent_slave/tasks/main.yml", "plugins/modules/agent_init", "plugins/action/agent_init.py", "playbooks/site.yml", "docs/configuration.md", "LICENSE"} {
		if !strings.Contains(out, file+"\n") {
			t.Errorf("the package lacks %s", file)
		}
	}
}

// TestPageVerbatim: what docs/ansible.md shows is what is run, but for
// addresses: the inventory, the vault, each command.
func TestPageVerbatim(t *testing.T) {
	fresh(t)
	source(t)
	page, err := os.ReadFile(root() + "/docs/ansible.md")
	must(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	address := strings.NewReplacer("192.168.1.167", "10.77.0.11", "192.168.1.168", "10.77.0.13", "192.168.1.169", "10.77.0.14")
	dir := project + "/page"
	must(t, os.MkdirAll(dir+"/group_vars/all", 0o700))
	must(t, os.WriteFile(dir+"/inventory.yml", []byte(address.Replace(blocks[0][1])), 0o600))
	must(t, os.WriteFile(dir+"/group_vars/all/vault.yml", []byte(blocks[1][1]), 0o600))
	must(t, os.WriteFile(dir+"/pass", []byte("x\n"), 0o600))
	must(t, os.RemoveAll(dir+"/bin"))
	must(t, os.Symlink(project+"/bin", dir+"/bin"))
	run := func(args ...string) result {
		return ansible(t, []string{"ANSIBLE_VAULT_PASSWORD_FILE=" + dir + "/pass", "ANSIBLE_REMOTE_USER=root"}, args...)
	}
	run("ansible-vault", "encrypt", dir+"/group_vars/all/vault.yml").ok(t)
	commands := regexp.MustCompile(`(?m)^    (ansible-playbook -i inventory.yml .*)$`).FindAllStringSubmatch(string(page), -1)
	if len(commands) != 2 {
		t.Fatalf("the page shows %d commands", len(commands))
	}
	site := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(commands[0][1], "inventory.yml", dir+"/inventory.yml"), "--ask-vault-pass ", ""))
	run(site...).ok(t)
	run(site...).nothing(t)
	eventually(t, func() error {
		_, err := os.Stat(hostRoot("h4") + "/www/www/first")
		return err
	})
	inv, err := os.ReadFile(dir + "/inventory.yml")
	must(t, err)
	rotated := strings.Replace(string(inv), "    agent_common_password: \"{{ vault_replication_password }}\"\n",
		"    "+strings.ReplaceAll(strings.TrimSpace(blocks[2][1]), "\n", "\n    ")+"\n    vault_replication_password_2: another-one\n", 1)
	must(t, os.WriteFile(dir+"/inventory.yml", []byte(rotated), 0o600))
	rotate := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(commands[1][1], "inventory.yml", dir+"/inventory.yml"), "--ask-vault-pass ", ""))
	run(rotate...).ok(t)
	run(site...).nothing(t)
	must(t, os.WriteFile(dir+"/command.yml", []byte("---\n- hosts: agent_slaves\n  become: true\n  tasks:\n    "+strings.ReplaceAll(blocks[3][1], "\n", "\n    ")), 0o600))
	for _, more := range [][]string{nil, {"--check"}} {
		run(append([]string{"ansible-playbook", "-i", dir + "/inventory.yml", dir + "/command.yml"}, more...)...).nothing(t)
	}
	onHost(t, "s2", "systemctl", "disable", "syncagent-receiver")
	for _, more := range [][]string{{"--check"}, nil} {
		if n := run(append([]string{"ansible-playbook", "-i", dir + "/inventory.yml", dir + "/command.yml"}, more...)...).ok(t).changed(); n["s1"] != 1 || n["s2"] != 0 {
			t.Errorf("the command's form with a drifted host: %v", n)
		}
	}
}

// TestPipelines: the jobs of docs/ci, run as they stand, pass where hosts are
// what the repository says and fail where one is not.
func TestPipelines(t *testing.T) {
	converged(t)
	jobs := map[string]string{"github": githubJob(t), "gitlab": gitlabJob(t)}
	must(t, os.MkdirAll(project+"/ci/bin", 0o755))
	must(t, os.WriteFile(project+"/ci/bin/ssh", []byte("#!/bin/sh\nexec /usr/bin/ssh -q -i "+images()+"/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \"$@\"\n"), 0o755))
	must(t, os.WriteFile(project+"/ci/config", []byte(onHost(t, "s2", "cat", "/etc/syncagent/receiver.yaml")+"\n"), 0o600))
	run := func(job string) result {
		return ansible(t, []string{"HOST=10.77.0.13", "ROLE=slave", "CONFIG=" + project + "/ci/config", "PATH=" + project + "/ci/bin:" + os.Getenv("PATH")}, "bash", "-e", "-c", job)
	}
	for name, job := range jobs {
		if r := run(job); r.code != 0 || !strings.Contains(r.out, "is what the repository says") {
			t.Errorf("%s: exit code %d:\n%s", name, r.code, r.out)
		}
	}
	before := manifests(t)
	onHost(t, "s2", "systemctl", "disable", "syncagent-receiver")
	drifted := manifests(t)
	for name, job := range jobs {
		if r := run(job); r.code != 4 || !strings.Contains(r.out, `"action":"enable"`) {
			t.Errorf("%s with a drifted host: exit code %d:\n%s", name, r.code, r.out)
		}
	}
	untouched(t, drifted)
	onHost(t, "s2", "sh", "-c", "echo '# mine' >> /etc/syncagent/rsyncd.conf")
	for name, job := range jobs {
		if r := run(job); r.code != 1 || !strings.Contains(r.out, `"code":"drift"`) {
			t.Errorf("%s with a file edited by hand: exit code %d:\n%s", name, r.code, r.out)
		}
	}
	untouched(t, before, "s1", "s3", "m1")
}

func githubJob(t *testing.T) string {
	t.Helper()
	var file struct {
		Jobs struct {
			Drift struct {
				Steps []struct{ Name, Run string }
			}
		}
	}
	data, err := os.ReadFile(root() + "/docs/ci/github-actions.yml")
	must(t, err)
	must(t, yaml.Unmarshal(data, &file))
	for _, s := range file.Jobs.Drift.Steps {
		if s.Name == "Compare" {
			return s.Run
		}
	}
	t.Fatal("there is no step Compare")
	return ""
}

func gitlabJob(t *testing.T) string {
	t.Helper()
	var file struct {
		Drift struct{ Script []string }
	}
	data, err := os.ReadFile(root() + "/docs/ci/gitlab-ci.yml")
	must(t, err)
	must(t, yaml.Unmarshal(data, &file))
	return strings.Join(file.Drift.Script, "\n")
}
