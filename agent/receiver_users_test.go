package agent

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestFurtherUsersAreTried: while a password is being changed both users have to be
// let in. One who has no password yet does not hold up the other.
func TestFurtherUsersAreTried(t *testing.T) {
	r := receive(t, func(r *Receiver) { r.config.Auth.Also = []string{"repl2"} })
	c := r.current()
	old, err := os.ReadFile(c.Auth.SecretsFile)
	r.must(err)
	r.must(os.WriteFile(c.Auth.SecretsFile, append(old, "repl2:other\n"...), 0o600))
	r.must(r.check(t.Context()))
	conf, err := os.ReadFile(c.ConfFile)
	r.must(err)
	locked := bytes.ReplaceAll(conf, []byte("repl2:rw"), []byte("repl3:rw"))
	if bytes.Equal(conf, locked) {
		t.Fatalf("no user repl2 in:\n%s", conf)
	}
	r.must(os.WriteFile(c.ConfFile, locked, 0o600))
	if err := r.check(t.Context()); err == nil || !strings.Contains(err.Error(), "repl2") {
		t.Errorf("repl2 is not let in, and the check says: %v", err)
	}
}
