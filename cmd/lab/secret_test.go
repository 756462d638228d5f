package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSecretsStaySecret: no password in any output, log, argument, unit, diff
// or file that is left, with everything on that makes Ansible talk.
func TestSecretsStaySecret(t *testing.T) {
	fresh(t)
	source(t)
	must(t, os.WriteFile(project+"/vault-pass", []byte("open\n"), 0o600))
	encrypted := ansible(t, nil, "ansible-vault", "encrypt_string", "--vault-password-file", project+"/vault-pass", canary).ok(t).out
	inline := "!vault |"
	for line := range strings.Lines(encrypted) {
		if strings.HasPrefix(line, "          ") {
			inline += "\n" + strings.TrimRight(line, "\n")
		}
	}
	seen := make(chan string, 1)
	stop := make(chan struct{})
	go func() { seen <- arguments(stop) }()
	var out strings.Builder
	for _, more := range [][]string{{"--check"}, {}, {}} {
		r := play(t, inventory{password: inline}, "site", append([]string{"--diff", "-vvvv", "--vault-password-file", project + "/vault-pass"}, more...)...)
		out.WriteString(r.out)
		r.ok(t)
	}
	for _, playbook := range []string{"rotate", "verify"} {
		out.WriteString(play(t, inventory{user: "repl2", password: second}, playbook, "--diff", "-vvvv").ok(t).out)
	}
	broken := play(t, inventory{password: canary, modules: "      - {name: www, path: www}\n"}, "site", "-vvvv", "--tags", "agent_slave_configure")
	broken.fails(t, "path")
	out.WriteString(broken.out)
	for _, wrong := range []inventory{{extra: "    agent_slave_port: many\n"}, {extra: "    agent_master_service: runit\n"}} {
		out.WriteString(play(t, wrong, "site", "-vvvv").fails(t, "Validation of arguments failed").out)
	}
	close(stop)
	out.WriteString(<-seen)
	for name := range hostOf {
		out.WriteString(onHost(t, name, "journalctl", "-q", "--no-pager"))
		out.WriteString(onHost(t, name, "sh", "-c", "cat /etc/systemd/system/syncagent* /etc/syncagent/*.yaml /etc/syncagent/rsyncd.conf /var/lib/syncagent/init.json 2>/dev/null; grep -rs -e Canary /home /root /tmp /var/tmp /var/log /var/lib /run --exclude-dir=journal | head; true"))
		out.WriteString(onHost(t, name, "sh", "-c", "agent doctor; agent --output json doctor; agent config show --config /etc/syncagent/*.yaml 2>&1; true"))
	}
	for _, password := range []string{canary, second} {
		if i := strings.Index(out.String(), password); i >= 0 {
			t.Errorf("%s was said: …%s…", password, out.String()[max(0, i-300):i+40])
		}
	}
	if !strings.Contains(out.String(), "user:********") {
		t.Error("the secrets file is not in the diff at all")
	}
}

const second = "Canary-8r-second"

// arguments collects the command lines of all processes, and their names.
func arguments(stop chan struct{}) string {
	var b strings.Builder
	known := map[string]bool{}
	for {
		select {
		case <-stop:
			return b.String()
		case <-time.After(20 * time.Millisecond):
		}
		files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is well formed
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err == nil && !known[string(text)] {
				known[string(text)] = true
				b.Write(text)
			}
		}
	}
}

// pusher writes a file after the other on the master until it is stopped.
type pusher struct {
	stop chan struct{}
	done chan int
}

func push(t *testing.T) *pusher {
	t.Helper()
	p := &pusher{make(chan struct{}), make(chan int)}
	go func() {
		for i := 1; ; i++ {
			_ = os.WriteFile(fmt.Sprintf("%s/www/www/push%04d", hostRoot("h1"), i), []byte(fmt.Sprint(i)), 0o644) // the end counts
			select {
			case <-p.stop:
				p.done <- i
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return p
}

// end stops writing, waits until everything has arrived, and fails when any
// push failed in the meantime.
func (p *pusher) end(t *testing.T, since string, forgive ...string) {
	t.Helper()
	close(p.stop)
	n := <-p.done
	for i := 1; i <= n; i++ {
		synced(t, fmt.Sprintf("www/push%04d", i))
	}
	log := onHost(t, "m1", "journalctl", "-q", "--no-pager", "-u", "syncagent", "--since", since)
	for line := range strings.Lines(log) {
		bad := strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR")
		for _, f := range forgive {
			bad = bad && !strings.Contains(line, f)
		}
		if bad {
			t.Errorf("a push failed: %s", line)
		}
	}
}

func now(t *testing.T) string {
	t.Helper()
	return onHost(t, "m1", "date", "+%Y-%m-%d %H:%M:%S")
}

// TestRotation: the password changes under a stream of pushes, none of which
// fails, also when the play ends after a step and is run again.
func TestRotation(t *testing.T) {
	converged(t)
	next := inventory{user: "repl2", password: second}
	since, p := now(t), push(t)
	play(t, next, "rotate", "--tags", "rotate_switch").fails(t, "is not let in")
	play(t, next, "rotate", "--tags", "rotate_accept").ok(t)
	must(t, os.WriteFile(hostRoot("h1")+"/www/www/accepted", nil, 0o644))
	synced(t, "www/accepted")
	play(t, next, "rotate", "--tags", "rotate_accept").nothing(t)
	play(t, next, "rotate", "--tags", "rotate_accept,rotate_switch").ok(t)
	must(t, os.WriteFile(hostRoot("h1")+"/www/www/switched", nil, 0o644))
	synced(t, "www/switched")
	play(t, next, "rotate").ok(t)
	play(t, next, "rotate").nothing(t)
	p.end(t, since)
	play(t, next, "site").nothing(t)
	for _, name := range []string{"s1", "s2", "s3"} {
		for login, want := range map[string]string{"repl " + canary: "auth failed", "repl2 " + second: ""} {
			user, password, _ := strings.Cut(login, " ")
			must(t, os.WriteFile(hostRoot("h1")+"/root/pass", []byte(password), 0o600))
			ip := map[string]string{"s1": "10.77.0.12", "s2": "10.77.0.13", "s3": "10.77.0.14"}[name]
			out, _ := exec.Command("./lab.sh", "exec", "h1", "rsync", "-a", "--no-motd", "--password-file=/root/pass", "/etc/hostname", "rsync://"+user+"@"+ip+"/www/").CombinedOutput()
			if got := string(out); want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("%s as %s: %q, want %q", name, user, got, want)
			}
		}
	}
}
