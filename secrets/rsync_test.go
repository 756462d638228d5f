package secrets

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// daemon is an rsync daemon that lives for one connection, started by the
// client itself: no port is taken.
type daemon struct{ dir string }

func newDaemon(t *testing.T, secretsFile []byte, users ...string) daemon {
	t.Helper()
	d := daemon{t.TempDir()}
	d.write(t, "secrets", secretsFile)
	d.write(t, "conf", fmt.Appendf(nil, "use chroot = no\nlog file = %[1]s/log\n[m]\npath = %[1]s\nauth users = %[2]s\nsecrets file = %[1]s/secrets\n", d.dir, strings.Join(users, ",")))
	return d
}

func (d daemon) write(t *testing.T, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(d.dir, name)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// login lists the module and returns what rsync complains about.
func (d daemon) login(t *testing.T, user string, client []byte) string {
	t.Helper()
	cmd := exec.Command("rsync", "--password-file="+d.write(t, "client", client), "rsync://"+user+"@localhost/m/")
	cmd.Env = append(os.Environ(), "RSYNC_CONNECT_PROG=rsync --daemon --config="+d.dir+"/conf", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	if _, ran := err.(*exec.ExitError); !ran {
		t.Fatalf("rsync must be installed: %v", err)
	}
	return string(out)
}

// TestRsyncTakesBothFiles logs in with every kind of password New accepts.
func TestRsyncTakesBothFiles(t *testing.T) {
	passwords := []string{"simple", "with space:and#colon", "ü%20\\\"'$(id)", "#x", ":", strings.Repeat("a", MaxPassword)}
	var users []User
	var names []string
	for i, p := range passwords {
		users = append(users, User{fmt.Sprintf("user%d", i), mustNew(t, p)})
		names = append(names, users[i].Name)
	}
	d := newDaemon(t, RenderServer(users), names...)
	for _, u := range users {
		if out := d.login(t, u.Name, RenderClient(u.Secret)); out != "" {
			t.Errorf("password %q: %s", u.Secret.Reveal(), out)
		}
	}
	if out := d.login(t, "user1", RenderClient(users[0].Secret)); !strings.Contains(out, "auth failed") {
		t.Errorf("a wrong password gives %q", out)
	}
}

// TestWhyRules holds the facts that New and ParseServer rest on: rsync drops
// the rest of a long password, and never tries a user's second line.
func TestWhyRules(t *testing.T) {
	long := strings.Repeat("a", MaxPassword+1) + "\n"
	d := newDaemon(t, []byte("u:"+long), "u")
	if out := d.login(t, "u", []byte(long)); !strings.Contains(out, "auth failed") {
		t.Errorf("a password of %d bytes gives %q", MaxPassword+1, out)
	}
	d = newDaemon(t, []byte("u:first\nu:second\n"), "u")
	if out := d.login(t, "u", []byte("first\n")); out != "" {
		t.Errorf("the first line gives %q", out)
	}
	if out := d.login(t, "u", []byte("second\n")); !strings.Contains(out, "auth failed") {
		t.Errorf("the second line gives %q", out)
	}
}
