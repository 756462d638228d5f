package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

const example = `
state_dir: /var/lib/syncagent
socket: /run/syncagent/agent.sock
listen: ""
workers: 0
auth: {user: repl, password_file: /etc/syncagent/rsync.pass}
settle: {quiet: 2ms, max: 1s, growing: 30s}
sweep: {at_start: true, every: 10h, checksum_every: 30d, concurrency: 2}
watcher: auto
lanes: {large: 64M}
warm: true
delete_guard: {percent: 30, min: 50, files: 0}
root_change: block
first_sync: merge
targets:
  s1: {host: 192.168.1.168}
  web2.example.com: {host: 192.168.1.169, port: 8730, auth: {user: other, password_file: /etc/syncagent/s2.pass}, bwlimit: 10M}
modules:
  Blog:
    path: /www/www/
    targets: [s1, {target: web2.example.com, module: backup, path: sub/dir}]
    delete: true
    delete_guard: off
    settle: {max: 3s}
    filter: ["- *.tmp", "- /cache/", "+ *.php"]
    rsync: {compress: none, xattrs: false, acls: false, hard_links: false, numeric_ids: true, extra: []}
  bbs:
    path: /www/bbs
    delete: false
    sweep: {every: off}
`

func exampleMaster() *Master {
	m := NewMaster()
	m.TargetSpecs = []TargetSpec{
		{Name: "s1", Host: "192.168.1.168", Port: 873},
		{Name: "web2.example.com", Host: "192.168.1.169", Port: 8730, Auth: Auth{User: "other", PasswordFile: "/etc/syncagent/s2.pass"}, Bwlimit: "10M"},
	}
	blog, bbs := NewModule("Blog", "/www/www"), NewModule("bbs", "/www/bbs")
	blog.Targets = []ModuleDest{{Target: "s1"}, {"web2.example.com", "backup", "sub/dir"}}
	blog.Filter = []string{"- *.tmp", "- /cache/", "+ *.php"}
	blog.Overrides["delete_guard"], blog.Overrides["settle.max"] = "off", "3s"
	bbs.Delete = false
	bbs.Overrides["sweep.every"] = "0s"
	m.ModuleSpecs = []ModuleSpec{blog, bbs}
	return m
}

// same ignores where values came from, and nil against empty lists where both
// mean the same.
func same(a, b any) string {
	emptyText := cmp.FilterValues(func(x, y []string) bool { return len(x) == 0 && len(y) == 0 }, cmp.Ignore())
	emptyMap := cmp.FilterValues(func(x, y map[string]string) bool { return len(x) == 0 && len(y) == 0 }, cmp.Ignore())
	return cmp.Diff(a, b, cmpopts.IgnoreUnexported(Master{}, Receiver{}), emptyText, emptyMap)
}

func TestDecodeExample(t *testing.T) {
	m, err := DecodeMaster("agent.yaml", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if diff := same(exampleMaster(), m); diff != "" {
		t.Error(diff)
	}
	if err := m.Validate(nil); err != nil {
		t.Error(err)
	}
}

// TestDecodeFormats: the same configuration in YAML, JSON and TOML.
func TestDecodeFormats(t *testing.T) {
	files := map[string]string{
		"agent.json": `{"workers": 3, "settle": {"quiet": "5ms"}, "delete_guard": false,
			"targets": {"web1.example.com": {"host": "::1", "port": 8730}},
			"modules": {"Blog": {"path": "\/b", "targets": ["web1.example.com", {"target": "web1.example.com", "path": "x"}], "filter": ["- a"]}}}`,
		"agent.toml": "workers = 0x3\nsettle.quiet = '5ms'\ndelete_guard = false\n" +
			"[targets.\"web1.example.com\"]\nhost = \"::1\"\nport = 8_730\n" +
			"[modules.Blog]\npath = '/b'\nfilter = [ # rules\n '- a',\n]\n[[modules.Blog.targets]]\ntarget = 'web1.example.com'\n" +
			"[[modules.Blog.targets]]\ntarget = 'web1.example.com'\npath = 'x'\n",
		"agent.conf": "workers: 3\nsettle: {quiet: 5ms}\ndelete_guard: off\n" +
			"targets: {web1.example.com: &t {host: \"[::1]\", port: 8730}}\n" +
			"modules: {Blog: {path: /b, targets: [web1.example.com, {target: web1.example.com, path: x}], filter: [- a]}}\n",
	}
	files["agent.conf"] = strings.Replace(files["agent.conf"], "[- a]", `["- a"]`, 1)
	var first *Master
	for name, data := range files {
		m, err := DecodeMaster(name, []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = m
		}
		if diff := same(first, m); diff != "" || m.Workers != 3 || !m.DeleteGuard.Off || m.ModuleSpecs[0].Targets[1].Dir != "x" {
			t.Errorf("%s: %+v\n%s", name, m, diff)
		}
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "agent.yaml")
	_, err := ReadMaster(missing)
	if want := missing + ": does not exist: agent init master writes it"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = ReadReceiver(dir)
	if want := dir + ": cannot be read: is a directory: look at the path and its permissions"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, []byte(strings.Repeat("# a comment\n", 1<<17)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = ReadMaster(big)
	if want := big + ": has more than 1048576 bytes: is it the right file?"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestDecodeBounded: aliases and faults cannot multiply without end.
func TestDecodeBounded(t *testing.T) {
	list := "x: &l [" + strings.Repeat("a,", 5000) + "]\n"
	_, err := DecodeMaster("a.yaml", []byte(list+"modules:\n"+strings.Repeat("  m: {path: /a, filter: *l}\n", 3)))
	if err == nil {
		t.Error("no fault")
	}
	many := "modules:\n"
	for i := range 200 {
		many += "  m" + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + ": {path: /a, filter: *l}\n"
	}
	start := time.Now()
	_, err = DecodeMaster("a.yaml", []byte(list+many))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) > maxFaults+1 {
		t.Errorf("%d lines in %s", len(lines), time.Since(start))
	}
	if last := lines[len(lines)-1]; !strings.Contains(last, "more mistakes") {
		t.Errorf("the last line is %q", last)
	}
}

// drawSettings sets random keys of a Master to good values.
func drawSettings(t *rapid.T, m *Master) {
	values := map[string][]string{
		"workers": {"0", "7"}, "settle.quiet": {"0s", "3ms"}, "sweep.every": {"off", "1d12h"}, "sweep.at_start": {"no", "yes"},
		"watcher": {"poll", "fsnotify"}, "lanes.large": {"0", "1537", "2G"}, "warm": {"off"}, "delete_guard": {"off", "on"},
		"delete_guard.percent": {"0", "100"}, "root_change": {"accept"}, "first_sync": {"mirror"}, "listen": {"localhost:80", ""},
		"auth.user": {"off", "12", "ü"}, "state_dir": {"/a b", "/#x: y", "/'\""},
	}
	for _, k := range Keys(RoleMaster) {
		if options := values[k.Name]; len(options) > 0 && rapid.Bool().Draw(t, k.Name) {
			if err := m.Set(k.Name, rapid.SampledFrom(options).Draw(t, "value")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestRoundTrip: what Encode writes decodes to the same, and encodes to the
// same bytes.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := exampleMaster()
		drawSettings(t, m)
		m.ModuleSpecs[1].Filter = rapid.SliceOf(rapid.SampledFrom([]string{"- *", "+ a b", "- #x", "- 'y\""})).Draw(t, "filter")
		m.ModuleSpecs[1].Targets = rapid.SampledFrom([][]ModuleDest{nil, {{Target: "s1"}}, {{Target: "s1", Dir: "off"}}}).Draw(t, "targets")
		m.ModuleSpecs[0].Hooks = rapid.SliceOfN(rapid.Custom(drawHook), 0, 3).Draw(t, "hooks")
		m.ModuleSpecs[1].Transport = rapid.SampledFrom([]string{"", "ssh", "daemon"}).Draw(t, "transport")
		m.TargetSpecs[0].SSH = SSH{User: "root", Port: rapid.IntRange(0, 3).Draw(t, "port"), Options: []string{"ServerAliveInterval=3"}}
		for _, key := range []string{"warm", "delete_guard", "delete_guard.min", "settle.quiet"} {
			if v := rapid.SampledFrom([]string{"", "1", "off", "5ms"}).Draw(t, key); m.checkOverride(key, v) {
				m.ModuleSpecs[1].Overrides[key] = v
			}
		}
		data, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeMaster("agent.yaml", data)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		again, err := back.Encode()
		if err != nil || string(again) != string(data) {
			t.Fatalf("%v\n%s\n%s", err, data, again)
		}
		want, err1 := m.Modules()
		got, err2 := back.Modules()
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Module{}, "Rules"), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s\n%s", diff, data)
		}
	})
}

// checkOverride reports whether the value suits the key and does not end the
// guard that a limit beside it needs.
func (m *Master) checkOverride(key, v string) bool {
	s := defaultSettings()
	f, _ := find(settingsFields(&s), key)
	bad := v == "" || f.val.set(v) != nil
	return !bad && !(key == "delete_guard.min" && m.ModuleSpecs[1].Overrides["delete_guard"] == "off")
}

func TestReceiverRoundTrip(t *testing.T) {
	r := NewReceiver()
	for key, value := range map[string]string{"allow": " 10.0.0.1, 10.0.0.0/8,", "port": "8730", "address": "::1", "auth.user": "u"} {
		if err := r.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	www := NewReceiverModule("www", "/srv/www")
	www.Owner, www.Chroot = "www", false
	r.Modules = []ReceiverModule{www, NewReceiverModule("Blog", "/srv/blog")}
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeReceiver("receiver.yaml", data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if diff := same(r, back); diff != "" {
		t.Errorf("%s\n%s", diff, data)
	}
	if err := back.Validate(nil); err != nil {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.txtar", "testdata/edit/*.txtar"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			for part := range strings.SplitSeq(string(data), "\n-- ") {
				_, body, _ := strings.Cut(part, "\n")
				f.Add(body)
			}
		}
	}
	f.Add(example)
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range []string{"a.yaml", "a.toml", "a.json"} {
			fuzzMaster(t, name, text)
			if r, err := DecodeReceiver(name, []byte(text)); err == nil {
				_ = r.Validate(nil)
			} else {
				oneLineEach(t, err)
			}
		}
		ch := MasterChange{Modules: map[string]string{"www": "/w"}, Targets: map[string]HostPort{"s1": {Host: "h"}}}
		if once, err := EditMaster([]byte(text), ch); err == nil {
			if twice, err := EditMaster(once, ch); err != nil || string(once) != string(twice) {
				t.Errorf("edited twice: %v\n%s\n%s", err, once, twice)
			}
		}
	})
}

// fuzzMaster: what decodes is encoded and decodes again; what does not says so
// in lines that can be read.
func fuzzMaster(t *testing.T, name, text string) {
	m, err := DecodeMaster(name, []byte(text))
	if err != nil {
		oneLineEach(t, err)
		return
	}
	_ = m.Validate(nil)
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeMaster("a.yaml", data); err != nil && len(m.ModuleSpecs)+len(m.TargetSpecs) > 0 {
		t.Errorf("%v\n%s", err, data)
	}
}

func oneLineEach(t *testing.T, err error) {
	faults, ok := err.(Faults)
	if !ok {
		t.Fatalf("%T is no Faults", err)
	}
	for _, f := range faults {
		if text := f.Error(); strings.ContainsAny(text, "\n\r\x00\x1b") || f.Problem == "" {
			t.Errorf("fault %q", text)
		}
	}
}
