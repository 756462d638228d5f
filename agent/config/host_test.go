package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, file, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLocalHostResolve(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	files := LocalHost("").Files
	if got := files.Resolve(dir + "/link/link/a/b"); got != dir+"/a/b" {
		t.Errorf("got %s", got)
	}
	if got := files.Resolve("/no/such"); got != "/no/such" {
		t.Errorf("got %s", got)
	}
}

func TestLocalHostNet(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "receiver.yaml")
	host := LocalHost(file)
	if r, err := host.Net.Receiver(); r != nil || err != nil {
		t.Errorf("a missing file gives %v, %v", r, err)
	}
	write(t, file, "allow: [127.0.0.1]\nmodules: {in: {path: "+dir+"/in}}\n", 0o600)
	addrs, err := host.Net.Addresses()
	if err != nil || !slices.Contains(addrs, netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("addresses are %v, %v", addrs, err)
	}
	m, err := DecodeMaster("agent.yaml", []byte("targets: {me: {host: 127.0.0.1}}\nmodules: {w: {path: "+dir+"/in/x}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Validate(&Host{Net: host.Net}); err == nil || !strings.Contains(err.Error(), "loop: ") {
		t.Errorf("got %v, want a loop", err)
	}
	write(t, file, "allow: [x]\nport: x\n", 0o600)
	err = m.Validate(&Host{Net: host.Net})
	if err == nil || !strings.HasPrefix(err.Error(), "agent.yaml: cannot rule out a loop: "+file+":1: allow: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

// TestPasswordFiles: the messages for real files, with $DIR for their folder.
func TestPasswordFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/good", "secret\n", 0o600)
	write(t, dir+"/empty", "\n", 0o600)
	write(t, dir+"/open", "secret\n", 0o604)
	write(t, dir+"/server", "repl:secret\n", 0o600)
	write(t, dir+"/torn", "repl\n", 0o600)
	tests := []struct{ file, want string }{
		{"good", ""},
		{"missing", "password file $DIR/missing does not exist; write one with: agent secrets generate > $DIR/missing; chmod 600 $DIR/missing"},
		{"empty", "password file $DIR/empty: the password is empty; write one with: agent secrets generate > $DIR/empty; chmod 600 $DIR/empty"},
		{"open", "password file $DIR/open has mode 0604, so every user can read or change it and rsync refuses it: chmod 600 $DIR/open"},
	}
	for _, tt := range tests {
		m := exampleMaster()
		m.TargetSpecs[1].Auth.PasswordFile = ""
		m.Auth.PasswordFile = dir + "/" + tt.file
		got := ""
		if err := m.Validate(&Host{Files: LocalHost("").Files}); err != nil {
			got = strings.ReplaceAll(err.Error(), dir, "$DIR")
		}
		if want := tt.want; want != "" && got != "auth.password_file: "+want || want == "" && got != "" {
			t.Errorf("%s: got %s", tt.file, got)
		}
	}
	files := LocalHost("").Files
	if err := files.Secrets(dir+"/server", "repl"); err != nil {
		t.Error(err)
	}
	if err := files.Secrets(dir+"/server", "other"); err == nil || !strings.Contains(err.Error(), "no line for user other") {
		t.Errorf("got %v", err)
	}
	if err := files.Secrets(dir+"/torn", "repl"); err == nil || !strings.Contains(err.Error(), "line 1: no colon") {
		t.Errorf("got %v", err)
	}
}
