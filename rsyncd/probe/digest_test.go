package probe

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"syncagent/rsyncd"
	"syncagent/rsyncd/rsyncdtest"
)

// A real daemon takes each digest that we may have to answer with.
func TestEveryDigest(t *testing.T) {
	dir := t.TempDir()
	conf := rsyncd.Receiver(rsyncd.Spec{
		Root: os.Geteuid() == 0, User: "repl", SecretsFile: filepath.Join(dir, "secrets"), Allow: []string{"10.0.0.1"},
		LockFile: filepath.Join(dir, "lock"), Modules: []rsyncd.ModuleSpec{{Name: "www", Path: t.TempDir()}},
	})
	file := filepath.Join(dir, "rsyncd.conf")
	for name, content := range map[string]string{file: string(conf.Render()), filepath.Join(dir, "secrets"): "repl:secret\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range digests() {
		for password, want := range map[string]Verdict{"secret": Accepted, "guess": AuthFailed} {
			s, err := start(t.Context(), rsyncdtest.Rsync(t), []string{"REMOTE_HOST=10.0.0.1"},
				"--server", "--daemon", "--config="+file, "--log-file=/dev/null", ".")
			if err != nil {
				t.Fatal(err)
			}
			line, err := s.line()
			if err != nil {
				t.Fatal(err)
			}
			g, err := parseGreeting(line)
			if err != nil {
				t.Fatal(err)
			}
			g.digest = d
			got, err := s.enter(g, Login{"www", "repl", password, netip.MustParseAddr("10.0.0.1")})
			s.drop()
			s.close()
			if err != nil || got != want {
				t.Errorf("%s with password %s: got %v, %v; want %v", d, password, got, err, want)
			}
		}
	}
}
