package lab

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestFromURL: the program comes from where it is said, when it is the one that is
// meant.
func TestFromURL(t *testing.T) {
	converged(t)
	otherProgram(t, "new")
	serve := exec.Command("ip", "netns", "exec", prefix()+"-ctl", "python3", "-m", "http.server", "--directory", project+"/bin2", "8000")
	must(t, serve.Start())
	t.Cleanup(func() {
		_ = serve.Process.Kill() // it is ours and runs until then
		_ = serve.Wait()
	})
	eventually(t, func() error {
		return exec.Command("ip", "netns", "exec", prefix()+"-ctl", "bash", "-c", "exec 3<>/dev/tcp/10.77.0.1/8000").Run()
	})
	data, err := os.ReadFile(project + "/bin2/agent-linux-amd64")
	must(t, err)
	from := func(sum string) inventory {
		return inventory{extra: "    agent_install_method: url\n    agent_install_url: http://10.77.0.1:8000/agent-linux-ARCH\n    agent_install_sha256: {amd64: \"" + sum + "\"}\n"}
	}
	before := manifests(t)
	play(t, from(strings.Repeat("0", 64)), "site", "--tags", "agent_slave_install").fails(t, "checksum")
	play(t, from(""), "site", "--tags", "agent_slave_install").fails(t, "needs agent_install_url and agent_install_sha256.amd64")
	untouched(t, before)
	good := from(fmt.Sprintf("%x", sha256.Sum256(data)))
	play(t, good, "site", "--check", "--tags", "agent_slave_install").ok(t)
	untouched(t, before)
	play(t, good, "site").ok(t)
	play(t, good, "site").nothing(t)
	if out := onHost(t, "s1", "ls", "/usr/local/bin"); out != "agent" {
		t.Errorf("the download is left: %s", out)
	}
	for name := range hostOf {
		if got := onHost(t, name, "tail", "-c", "3", "/usr/local/bin/agent"); got != "new" {
			t.Errorf("%s has the old program", name)
		}
	}
}

// TestFromPackage: a package of the program takes the place of a copy, and goes
// when it is uninstalled.
func TestFromPackage(t *testing.T) {
	converged(t)
	for _, h := range hostOf {
		repository(t, hostRoot(h)+"/srv/repo", project+"/bin/agent-linux-amd64")
		must(t, os.WriteFile(hostRoot(h)+"/etc/apt/sources.list.d/local.list", []byte("deb [trusted=yes] file:/srv/repo ./\n"), 0o644))
		out, err := tryHost(h, "apt-get", "update", "-o", "Dir::Etc::sourcelist=sources.list.d/local.list", "-o", "Dir::Etc::sourceparts=-")
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	inv := inventory{extra: "    agent_install_method: package\n"}
	play(t, inv, "site").ok(t)
	play(t, inv, "site").nothing(t)
	for name, unit := range map[string]string{"m1": "syncagent", "s1": "syncagent-receiver", "s2": "syncagent-receiver", "s3": "syncagent-receiver"} {
		if got := onHost(t, name, "systemctl", "show", "--property=ExecStart", unit); !strings.Contains(got, "/usr/bin/agent") {
			t.Errorf("%s runs %s", name, got)
		}
		if to, err := os.Readlink(hostRoot(hostOf[name]) + "/usr/local/bin/agent"); err != nil || to != "/usr/bin/agent" {
			t.Errorf("%s still has the copy: %v, %s", name, err, to)
		}
	}
	must(t, os.WriteFile(hostRoot("h1")+"/www/www/packaged", []byte("x"), 0o644))
	synced(t, "www/packaged")
	play(t, inv, "uninstall").ok(t)
	for name := range hostOf {
		if out := onHost(t, name, "sh", "-c", "ls /usr/bin/agent /usr/local/bin/agent 2>/dev/null || true"); out != "" {
			t.Errorf("%s still has %s", name, out)
		}
	}
}

// repository makes a directory that apt takes packages from, with one.
func repository(t *testing.T, dir, program string) {
	t.Helper()
	tree := project + "/deb"
	must(t, os.RemoveAll(tree))
	must(t, os.MkdirAll(tree+"/DEBIAN", 0o755))
	must(t, os.MkdirAll(tree+"/usr/bin", 0o755))
	command(t, "cp", program, tree+"/usr/bin/agent")
	control := "Package: syncagent\nVersion: 1.0.0\nArchitecture: amd64\nMaintainer: nobody <nobody@example.com>\nDescription: agent\n"
	must(t, os.WriteFile(tree+"/DEBIAN/control", []byte(control), 0o644))
	must(t, os.MkdirAll(dir, 0o755))
	command(t, "dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "--build", tree, dir+"/syncagent.deb")
	data, err := os.ReadFile(dir + "/syncagent.deb")
	must(t, err)
	list := control + fmt.Sprintf("Filename: ./syncagent.deb\nSize: %d\nSHA256: %x\n", len(data), sha256.Sum256(data))
	must(t, os.WriteFile(dir+"/Packages", []byte(list), 0o644))
}
