package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestKeysCanBeSet(t *testing.T) {
	for _, role := range []Role{RoleMaster, RoleSlave} {
		set := NewMaster().Set
		if role == RoleSlave {
			set = NewReceiver().Set
		}
		seen := map[string]bool{}
		for _, k := range Keys(role) {
			if err := set(k.Name, k.Default); err != nil {
				t.Errorf("%s: its own default: %v", k.Name, err)
			}
			if k.Doc == "" || seen[k.Env()] || strings.ContainsAny(k.Env(), ".-") {
				t.Errorf("%+v, %s", k, k.Env())
			}
			seen[k.Env()] = true
		}
	}
	names := []string{}
	for _, k := range Keys(RoleMaster) {
		names = append(names, k.Env())
	}
	for _, want := range []string{"SYNCAGENT_DELETE_GUARD", "SYNCAGENT_SETTLE_QUIET", "SYNCAGENT_AUTH_PASSWORD_FILE", "SYNCAGENT_LANES_LARGE"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing in %v", want, names)
		}
	}
}

// TestDefaults: a file that says nothing more means these values.
func TestDefaults(t *testing.T) {
	got := ""
	for _, k := range slices.Concat(Keys(RoleMaster), Keys(RoleSlave)) {
		got += k.Name + "=" + k.Default + "\n"
	}
	want := `state_dir=/var/lib/syncagent
socket=/run/syncagent/agent.sock
listen=
workers=0
nice=0
ionice=none
auth=on
auth.user=repl
auth.password_file=/etc/syncagent/rsync.pass
ssh.user=
ssh.port=0
ssh.key_file=
ssh.known_hosts=
ssh.options=
settle.quiet=2ms
settle.max=1s
settle.growing=30s
settle.hot=10s
sweep.at_start=true
sweep.every=10h
sweep.checksum_every=30d
sweep.concurrency=2
failures.escalate_after=1h
failures.retry_every=10h
watcher=auto
lanes.large=64M
warm=true
delete_guard=on
delete_guard.percent=30
delete_guard.min=50
delete_guard.files=0
root_change=block
first_sync=merge
state_dir=/var/lib/syncagent
conf_file=/etc/syncagent/rsyncd.conf
address=
port=873
auth.user=repl
auth.also=
auth.secrets_file=/etc/syncagent/rsyncd.secrets
allow=
max_connections=0
`
	if got != want {
		t.Errorf("got:\n%s", got)
	}
}

func TestSet(t *testing.T) {
	var first []string
	for _, k := range Keys(RoleMaster)[:20] {
		first = append(first, k.Name)
	}
	tests := []struct{ key, value, want string }{
		{"settle.quiet", "5ms", ""},
		{"settle.quite", "5ms", `settle.quite: unknown key: did you mean "settle.quiet"?`},
		{"settle", "5ms", "settle: is several keys: set settle.quiet, settle.max, settle.growing or settle.hot"},
		{"modules", "x", "modules: cannot be set from outside: write it in the configuration file"},
		{"auth", "x", `auth: this is no way to log in: write off, or {user: repl, password_file: /etc/syncagent/rsync.pass}`},
		{"targets.s1.host", "x", "targets.s1.host: unknown key: known here: " + strings.Join(first, ", ") + ", …"},
		{"socket", "/" + strings.Repeat("x", 107), "socket: the path has 108 bytes: a unix socket takes 107, choose a shorter one"},
		{"workers", "-1", "workers: -1 is out of range: write one from 0 to 10000"},
		{"auth.user", "a\nb", `auth.user: user name "a\nb" holds a blank or control character: take letters and digits`},
		{"a\nb", "x", `"a\nb": unknown key: known here: ` + strings.Join(first, ", ") + ", …"},
	}
	for _, tt := range tests {
		got := ""
		if err := NewMaster().Set(tt.key, tt.value); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("Set(%q, %q): %s\nwant %s", tt.key, tt.value, got, tt.want)
		}
		if strings.Contains(got, "\n") {
			t.Errorf("more than one line: %q", got)
		}
	}
}

// TestSetKeepsOverrides: a global set later reaches the modules, and a
// module's own value stays.
func TestSetKeepsOverrides(t *testing.T) {
	m, err := DecodeMaster("agent.yaml", []byte(`
delete_guard: off
targets: {s1: {host: h}}
modules:
  plain: {path: /p}
  own: {path: /o, settle: {max: 9s}, delete_guard: {percent: 10}, warm: false}
  on: {path: /q, delete_guard: {}}
  off: {path: /r, delete_guard: false}
`))
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"settle.quiet": "7ms", "settle.max": "8s", "first_sync": "mirror"} {
		if err := m.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	mods, err := m.Modules()
	if err != nil {
		t.Fatal(err)
	}
	want := []Settings{m.Settings, m.Settings, m.Settings, m.Settings}
	want[1].Settle.Max, want[1].DeleteGuard, want[1].Warm = 9*Second, Guard{Percent: 10, Min: 50}, false
	want[2].DeleteGuard = defaultGuard()
	for i, mod := range mods {
		if mod.Settings != want[i] || mod.Settle.Quiet != 7*Millisecond || mod.FirstSync != "mirror" {
			t.Errorf("%s: %+v\nwant %+v", mod.Name, mod.Settings, want[i])
		}
	}
}

// TestFaultAfterSet: a value that did not come from the file is not blamed on
// a line of it.
func TestFaultAfterSet(t *testing.T) {
	m, err := DecodeMaster("agent.yaml", []byte("settle: {quiet: 1ms}\ntargets: {s: {host: h}}\nmodules: {w: {path: /w}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Set("settle.quiet", "2s"); err != nil {
		t.Fatal(err)
	}
	err = m.Validate(nil)
	if want := "settle.quiet: 2s is more than settle.max, 1s: make it less"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestOverrideInCode: a Master made in code reports a wrong override by key.
func TestOverrideInCode(t *testing.T) {
	m := exampleMaster()
	m.ModuleSpecs[0].Overrides = map[string]string{"settle.quiet": "soon", "path": "/x"}
	_, err := m.Modules()
	want := "modules.Blog.settle.quiet: \"soon\" is not a span of time: write a number and ms, s, m, h or d, as in 2ms or 30d\n" +
		"modules.Blog: overrides a key that does not exist: see Keys"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestFaultsUnwrap(t *testing.T) {
	err := Faults{{Key: "a", Problem: "x"}, {File: "f\n", Line: 3, Problem: "y", Hint: "z"}}.err()
	var f *Fault
	if !errors.As(err, &f) || f.Problem != "x" {
		t.Errorf("found %v", f)
	}
	if want := "a: x\n\"f\\n\":3: y: z"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if err := (Faults{}).err(); err != nil {
		t.Errorf("no faults are an error: %v", err)
	}
}

func TestDefaultPaths(t *testing.T) {
	want := Paths{Config: "/d/receiver.yaml", State: "/d/state", RsyncdConf: "/d/rsyncd.conf", SecretsFile: "/d/rsyncd.secrets"}
	if got := DefaultPaths(RoleSlave, "/d"); got != want {
		t.Errorf("got %+v", got)
	}
	want = Paths{Config: "/d/agent.yaml", State: "/d/state", Socket: "/d/agent.sock", PasswordFile: "/d/rsync.pass"}
	if got := DefaultPaths(RoleMaster, "/d"); got != want {
		t.Errorf("got %+v", got)
	}
	want = Paths{Config: "/etc/syncagent/agent.yaml", State: "/var/lib/syncagent", Socket: "/run/syncagent/agent.sock", PasswordFile: "/etc/syncagent/rsync.pass"}
	if got := DefaultPaths(RoleMaster, ""); got != want {
		t.Errorf("got %+v", got)
	}
}
