package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"
)

// editCases name what is done to the text in testdata/edit/NAME.txtar.
func editCases() map[string]func(old []byte) ([]byte, error) {
	master := func(ch MasterChange) func([]byte) ([]byte, error) {
		return func(old []byte) ([]byte, error) { return EditMaster(old, ch) }
	}
	receiver := func(ch ReceiverChange) func([]byte) ([]byte, error) {
		return func(old []byte) ([]byte, error) { return EditReceiver(old, ch) }
	}
	both := MasterChange{
		Modules: map[string]string{"www": "/srv/www", "Blog": "/srv/blog"},
		Targets: map[string]HostPort{"s1": {Host: "10.0.0.1"}, "web2.example.com": {Host: "10.0.0.2", Port: 8730}},
	}
	dirs := ReceiverChange{
		Modules: map[string]ReceivedDir{"www": {Path: "/srv/www", Owner: "www", Group: "www"}, "bbs": {Path: "/srv/bbs"}},
		Allow:   []string{"10.0.0.1", "10.0.0.2"},
	}
	p := DefaultPaths(RoleMaster, "/tmp/one")
	return map[string]func([]byte) ([]byte, error){
		"master-new":      master(both),
		"master-dir":      master(MasterChange{StateDir: p.State, Socket: p.Socket, PasswordFile: p.PasswordFile, User: "u"}),
		"master-block":    master(both),
		"master-flow":     master(both),
		"master-json":     master(both),
		"master-null":     master(both),
		"master-remove":   master(MasterChange{RemoveModules: []string{"www", "gone"}, Modules: map[string]string{"bbs": "/new"}}),
		"master-partial":  master(MasterChange{StateDir: "/s", User: "u", Targets: map[string]HostPort{"s1": {Host: "h"}}}),
		"master-person":   master(both),
		"master-values":   master(MasterChange{Modules: map[string]string{"a b": "/x", "rel": "rel"}, Targets: map[string]HostPort{"t": {Host: "h", Port: 70000}}, User: "a:b"}),
		"receiver-new":    receiver(dirs),
		"receiver-block":  receiver(dirs),
		"receiver-flow":   receiver(dirs),
		"receiver-remove": receiver(ReceiverChange{Remove: []string{"www"}, Port: 8730, Address: "::1"}),
	}
}

// TestEdit holds the text after an edit against the recorded one, and checks
// that a second edit changes no byte.
func TestEdit(t *testing.T) {
	for name, change := range editCases() {
		t.Run(name, func(t *testing.T) { editOnce(t, filepath.Join("testdata/edit", name+".txtar"), change) })
	}
}

func editOnce(t *testing.T, file string, change func([]byte) ([]byte, error)) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := change(ar.Files[0].Data)
	if err != nil {
		got = []byte(err.Error() + "\n")
	} else if again, err := change(got); err != nil || !bytes.Equal(again, got) {
		t.Errorf("a second edit gives, %v:\n%s", err, again)
	}
	if *update {
		ar.Files = append(ar.Files[:1], txtar.File{Name: "new", Data: got})
		if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := ar.Files[1].Data; !bytes.Equal(got, want) {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

// TestEditKeepsBytes: line ends, a missing last one and a byte order mark stay.
func TestEditKeepsBytes(t *testing.T) {
	old := "\ufeff# ü\r\ntargets:\r\n  ä: {host: x}\r\n"
	if _, err := EditMaster([]byte(old), MasterChange{}); err == nil {
		t.Error("took the name ä")
	}
	old = strings.ReplaceAll(old, "ä", `"s1"`)
	got, err := EditMaster([]byte(old), MasterChange{Targets: map[string]HostPort{"s2": {Host: "y"}}, Modules: map[string]string{"www": "/w"}})
	want := old + "  s2: {host: y}\r\nmodules:\r\n  www: {path: /w}\r\n"
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
	got, err = EditMaster([]byte("workers: 3"), MasterChange{Modules: map[string]string{"www": "/w"}})
	if want := "workers: 3\nmodules:\n  www: {path: /w}\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
}

// TestEditSaysNothingNew: what is so already, in whatever words, is not touched.
func TestEditSaysNothingNew(t *testing.T) {
	old := "targets: {s1: {host: '10.0.0.1', port: 0873}}\nmodules: {www: {path: \"/w/\"}}\n"
	got, err := EditMaster([]byte(old), MasterChange{
		Modules: map[string]string{"www": "/w"}, Targets: map[string]HostPort{"s1": {Host: "10.0.0.1"}},
		User: "repl", Socket: "/run/syncagent/agent.sock", RemoveModules: []string{"other"},
	})
	if err != nil || string(got) != old {
		t.Errorf("got %q, %v", got, err)
	}
	old = "allow: [10.0.0.2, 10.0.0.1]\nmodules: {www: {path: /w/w}}\n"
	got, err = EditReceiver([]byte(old), ReceiverChange{Allow: []string{"10.0.0.1", "10.0.0.2"}})
	if err != nil || string(got) != old {
		t.Errorf("got %q, %v", got, err)
	}
}

// drawMaster draws a file in the styles people write, with a comment in every
// place.
func drawMaster(t *rapid.T) string {
	var b strings.Builder
	pick := func(options ...string) string { return rapid.SampledFrom(options).Draw(t, "style") }
	b.WriteString(pick("", "# head\n", "---\n# head\n\n"))
	b.WriteString(pick("", "workers: 3 # n\n", "auth:\n  user: repl # who\n", "auth: {user: 'x'} # y\n\n"))
	targets := pick("targets: # t\n  s1: {host: a} # one\n  # between\n  s2:\n    host: b # two\n    # deep\n",
		"targets: {s1: {host: a}, s2: {host: \"b\", port: 873}} # t\n", "targets:\n# none yet\n", "", "targets: {} # none\n")
	modules := pick("modules:\n    # first\n    www:\n        path: /w # p\n        # deep\n\n    bbs: {path: /b, delete: false} # q\n",
		"modules: {www: {path: '/w'}} # m\n", "modules:\n", "modules: {\n  www: { # in\n    path: /w,\n  },\n}\n", "")
	b.WriteString(targets + pick("", "\n", "# mid\n") + modules + pick("", "# tail\n", "\n  # odd tail\n"))
	return b.String()
}

func drawChange(t *rapid.T) MasterChange {
	path := rapid.SampledFrom([]string{"/w", "/b", "/x y", "/#1", "/a: b", "/ü'\"", "/-"})
	name := rapid.SampledFrom([]string{"www", "bbs", "Blog", "web1.example.com", "off", "1", "null"})
	host := rapid.Custom(func(t *rapid.T) HostPort {
		return HostPort{rapid.SampledFrom([]string{"a", "::1", "1.2.3.4", "no"}).Draw(t, "host"), rapid.IntRange(0, 3).Draw(t, "port")}
	})
	return MasterChange{
		Modules:  rapid.MapOfN(name, path, 0, 3).Draw(t, "modules"),
		Targets:  rapid.MapOfN(rapid.SampledFrom([]string{"s1", "s2", "s3", "true"}), host, 0, 3).Draw(t, "targets"),
		User:     rapid.SampledFrom([]string{"", "repl", "other", "12"}).Draw(t, "user"),
		StateDir: rapid.SampledFrom([]string{"", "/s"}).Draw(t, "state"),
	}
}

// TestEditProperties: an edit of a readable file works, says what was asked,
// is its own fixed point, and keeps every comment and every line it need not
// change.
func TestEditProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, ch := drawMaster(t), drawChange(t)
		got, err := EditMaster([]byte(old), ch)
		if err != nil {
			t.Fatalf("edit of\n%s\n%v", old, err)
		}
		again, err := EditMaster(got, ch)
		if err != nil || !bytes.Equal(got, again) {
			t.Fatalf("a second edit of\n%s\ngives, %v\n%s", got, err, again)
		}
		saysWhat(t, got, ch)
		for _, line := range strings.Split(old, "\n") {
			if _, text, ok := strings.Cut(line, "#"); ok && !strings.Contains(string(got), "#"+text) {
				t.Fatalf("comment %q is gone from\n%s", text, got)
			}
		}
	})
}

func saysWhat(t *rapid.T, text []byte, ch MasterChange) {
	if len(bytes.TrimSpace(text)) == 0 {
		return
	}
	m := NewMaster()
	if _, err := (edition{name: "x"}).canonical(text, m); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for _, s := range m.ModuleSpecs {
		if want, ok := ch.Modules[s.Name]; ok && s.Path != want {
			t.Fatalf("module %s has path %s, not %s", s.Name, s.Path, want)
		}
		delete(ch.Modules, s.Name)
	}
	for _, s := range m.TargetSpecs {
		want, ok := ch.Targets[s.Name]
		if want.Port == 0 {
			want.Port = DefaultPort
		}
		if ok && want != (HostPort{s.Host, s.Port}) {
			t.Fatalf("target %s is %s:%d", s.Name, s.Host, s.Port)
		}
		delete(ch.Targets, s.Name)
	}
	if len(ch.Modules)+len(ch.Targets) > 0 {
		t.Fatalf("%v %v are missing in\n%s", ch.Modules, ch.Targets, text)
	}
}
