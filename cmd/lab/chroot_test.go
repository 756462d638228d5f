package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// inChroot returns what runs one of Ansible's commands with the ansible-core and
// the ansible-lint of Debian 13, in a chroot inside of the lab's network.
func inChroot(t *testing.T) func(dir string, args ...string) result {
	t.Helper()
	if out, err := exec.Command("./lab.sh", "controller", "trixie").CombinedOutput(); err != nil {
		t.Fatalf("the controller cannot be built: %v\n%s", err, out)
	}
	ctl := images() + "/ctl-trixie"
	script := "mount --rbind /dev " + ctl + "/dev && mount -t proc proc " + ctl + "/proc"
	for _, dir := range []string{project, images()} {
		script += " && mkdir -p " + ctl + dir + " && mount --bind " + dir + " " + ctl + dir
	}
	script += " && exec chroot " + ctl + ` sh -c 'cd "$1" && shift && exec "$@"' sh "$@"`
	return func(dir string, args ...string) result {
		return ansible(t, []string{"ANSIBLE_HOME=" + project + "/home", "HOME=" + project + "/home", "PWD=" + dir},
			append([]string{"unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", dir}, args...)...)
	}
}

// TestOtherAnsible: the newest ansible-core that is supported finds hosts that
// another one made as it would make them, and makes them itself.
func TestOtherAnsible(t *testing.T) {
	converged(t)
	run := inChroot(t)
	if out := run(project, "ansible-playbook", "--version").ok(t).out; !strings.Contains(out, "core 2.19") {
		t.Errorf("another version:\n%.200s", out)
	}
	site := []string{"ansible-playbook", "-i", inventory{}.write(t), "syncagent.agent.site", "-v"}
	checked := append(append([]string{}, site...), "--check", "--diff")
	run(project, site...).nothing(t)
	run(project, checked...).nothing(t)
	fresh(t)
	source(t)
	before := manifests(t)
	check := run(project, checked...).ok(t)
	untouched(t, before)
	foretold(t, check, run(project, append(site, "--diff")...).ok(t))
	synced(t, "www/first")
	next := inventory{user: "repl2", password: second}.write(t)
	for _, playbook := range []string{"rotate", "verify", "upgrade"} {
		run(project, "ansible-playbook", "-i", next, "syncagent.agent."+playbook).ok(t)
	}
	run(project, site...).nothing(t)
	run(project, "ansible-playbook", "-i", next, "syncagent.agent.uninstall").ok(t)
}

// TestOtherLinter: nor does the newer ansible-lint find anything, or yamllint.
func TestOtherLinter(t *testing.T) {
	need(t)
	fresh(t, "bookworm") // for the network's namespaces
	run := inChroot(t)
	at := project + "/lint25/ansible_collections/syncagent/agent"
	must(t, os.MkdirAll(filepath.Dir(at), 0o755))
	command(t, "cp", "-a", project+"/coll/ansible_collections/syncagent/agent", at)
	must(t, os.Remove(at+"/MANIFEST.json"))
	for _, name := range []string{"galaxy.yml", ".ansible-lint", ".yamllint"} {
		command(t, "cp", root()+"/"+name, at+"/"+name)
	}
	rules, err := os.ReadFile(root() + "/.ansible-lint")
	must(t, err)
	must(t, os.WriteFile(at+"/.ansible-lint", append(rules, "supported_ansible_also: [\"2.14\"]\n"...), 0o644))
	if out := run(at, "ansible-lint", "--version", "--nocolor").ok(t).out; !strings.Contains(out, "ansible-lint 25.") {
		t.Errorf("another version:\n%.200s", out)
	}
	if out := run(at, "ansible-lint", "--offline", "--nocolor").ok(t).out; !strings.Contains(out, "production") {
		t.Errorf("another profile:\n%s", out)
	}
	run(at, "yamllint", "-s", "galaxy.yml", "meta", "roles", "playbooks", "plugins", "docs/ci", ".ansible-lint", ".yamllint").ok(t)
}
