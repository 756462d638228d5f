package lab

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// inventory is the one of the README, with other values.
type inventory struct {
	user, password, login string // repl, the canary and deploy unless said
	modules               string
	without               string // a slave that is not there
	extra                 string // further lines of vars
	text                  string // instead of all that
}

func (i inventory) write(t *testing.T) string {
	t.Helper()
	if i.text == "" {
		i.text = i.render()
	}
	name := project + "/inventory.yml"
	must(t, os.WriteFile(name, []byte(i.text), 0o600))
	return name
}

func (i inventory) render() string {
	or := func(s, d string) string {
		if s == "" {
			return d
		}
		return s
	}
	var b strings.Builder
	fmt.Fprintf(&b, "---\nall:\n  vars:\n    ansible_user: %s\n", or(i.login, "deploy"))
	fmt.Fprintf(&b, "    agent_common_user: %s\n    agent_common_password: %s\n", or(i.user, "repl"), or(i.password, canary))
	// Debian 11's rsync takes no deletes; the doctor says so.
	b.WriteString("    agent_master_tolerate: [delete]\n    agent_slave_tolerate: [delete]\n    agent_common_modules:\n")
	b.WriteString(or(i.modules, "      - {name: www, path: /www/www}\n      - {name: bbs, path: /www/bbs, slaves: [s1, s2]}\n"))
	b.WriteString(i.extra)
	b.WriteString("agent_masters:\n  hosts:\n    m1: {ansible_host: 10.77.0.11}\nagent_slaves:\n  hosts:\n")
	for n, s := range []string{"s1", "s2", "s3"} {
		if s != i.without {
			fmt.Fprintf(&b, "    %s: {ansible_host: 10.77.0.%d}\n", s, 12+n)
		}
	}
	return b.String()
}
