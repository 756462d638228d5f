package lab

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const several = `---
all:
  vars:
    ansible_user: deploy
    agent_common_password: ` + canary + `
    agent_common_modules:
      - {name: www, path: /www/www, MASTERS slaves: [relay, s1]}
      - {name: bbs, path: /www/bbs, masters: [relay], slaves: [s1, s2]}
agent_masters:
  hosts:
    m1: {MASTER}
    relay:
agent_slaves:
  hosts:
    relay: {ansible_host: "fd77::12"}
    s1: {ansible_host: "fd77::13", agent_slave_port: 8730}
    s2: {ansible_host: "fd77::14", agent_slave_address: "::"}
`

// TestSeveralMasters: trees of two masters to different slaves, over IPv6, one of
// the masters being a slave of the other; and what the roles ask for where the
// inventory does not say enough.
func TestSeveralMasters(t *testing.T) {
	fresh(t, "bookworm", "bookworm", "bookworm", "bookworm")
	with := func(masters, master string) inventory {
		return inventory{text: strings.NewReplacer("MASTERS", masters, "MASTER", master).Replace(several)}
	}
	on := map[string]string{"m1": "h1", "relay": "h2", "s1": "h3", "s2": "h4"}
	must(t, os.MkdirAll(hostRoot("h1")+"/www/www", 0o755))
	must(t, os.WriteFile(hostRoot("h1")+"/www/www/first", []byte("of m1"), 0o644))
	must(t, os.MkdirAll(hostRoot("h2")+"/www/bbs", 0o755))
	must(t, os.WriteFile(hostRoot("h2")+"/www/bbs/second", []byte("of relay"), 0o644))

	before := manifests(t)
	two := with("", `ansible_host: "fd77::11"`)
	two.text = strings.ReplaceAll(two.text, "masters: [relay], slaves: [s1, s2]", "slaves: [relay, s1, s2]")
	play(t, two, "site", "--check").fails(t, "www by m1 and relay, bbs by m1 and relay: say in masters of the module")
	play(t, with("masters: [m1],", "ansible_host: localhost"), "site", "--check").fails(t, "the IP address from which m1 pushes is not known: set agent_master_comes_from")
	untouched(t, before)

	inv := with("masters: [m1],", `ansible_host: "fd77::11"`)
	play(t, inv, "site").ok(t)
	play(t, inv, "site").nothing(t)
	eventually(t, func() error {
		for _, want := range []string{"relay/www/www/first", "s1/www/www/first", "s1/www/bbs/second", "s2/www/bbs/second"} {
			name, file, _ := strings.Cut(want, "/")
			if _, err := os.Stat(hostRoot(on[name]) + "/" + file); err != nil {
				return fmt.Errorf("not there yet: %s", want)
			}
		}
		return nil
	})
	for _, none := range []string{"h1/www/bbs", "h4/www/www"} {
		h, path, _ := strings.Cut(none, "/")
		if _, err := os.Stat(hostRoot(h) + "/" + path); err == nil {
			t.Errorf("%s has /%s, which is not for it", h, path)
		}
	}
	play(t, inv, "verify").nothing(t)
	for _, h := range on {
		if out, err := tryHost(h, "sh", "-c", "ls -A /www/*/.syncagent-verify"); err == nil {
			t.Errorf("%s: verify.yml left %s", h, out)
		}
	}
}
