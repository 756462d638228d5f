package config

import (
	"testing"

	"pgregory.net/rapid"

	"syncagent/agent/tree"
)

// drawHook is a hook whose keys are right one by one.
func drawHook(t *rapid.T) Hook {
	h := NewHook(rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "name"), rapid.SampledFrom([]string{"command", "socket", "http", "cdn"}).Draw(t, "type"))
	h.Scope = rapid.SampledFrom([]string{"target", "all", "batch"}).Draw(t, "scope")
	h.Retries = rapid.IntRange(0, 9).Draw(t, "retries")
	h.Include = rapid.SliceOf(rapid.SampledFrom([]string{"+ *.php", "- *", "- /a b/"})).Draw(t, "include")
	h.Command = rapid.SliceOf(rapid.SampledFrom([]string{"/bin/true", "{path}", "", "a: b #c", "'\"", "3"})).Draw(t, "command")
	h.Body = rapid.SampledFrom([]string{"", "{\"files\":[{urls}]}", "a\nb\n"}).Draw(t, "body")
	h.Match = rapid.SampledFrom([]string{"", `/www/(.*)\.html`, "off"}).Draw(t, "match")
	return h
}

func TestHookIncludes(t *testing.T) {
	tests := []struct {
		include, regex []string
		path           string
		dir, want      bool
	}{
		{nil, nil, "a/b", false, true},
		{[]string{"+ *.php"}, nil, "a/b.php", false, true},
		{[]string{"+ *.php"}, nil, "a/b.html", false, false},
		{[]string{"- *.tmp"}, nil, "a/b.html", false, true},
		{[]string{"- *.tmp"}, nil, "a/b.tmp", false, false},
		{[]string{"- /cache/", "+ *.php"}, nil, "cache/b.php", false, false},
		{[]string{"+ /static/***"}, nil, "static/a/b", false, true},
		{[]string{"+ /static/***"}, nil, "other/a", false, false},
		{nil, []string{`.*\.php`}, "a/b.php", false, true},
		{nil, []string{`.*\.php`}, "a/b.php5", false, false},
		{nil, []string{`/www/www/a/.*`, "x"}, "a/b", false, true},
		{nil, []string{`a/.*`}, "a/b", false, false},
		{nil, []string{`/www/www/a.b`}, "a\nb", false, true},
	}
	for _, tt := range tests {
		h := Hook{Include: tt.include, IncludeRegex: tt.regex}
		match, err := h.Matcher("/www/www")
		if err != nil {
			t.Fatal(err)
		}
		if got := match(tree.Path(tt.path), tt.dir); got != tt.want {
			t.Errorf("%v %v: %s is %v", tt.include, tt.regex, tt.path, got)
		}
	}
}

func TestSSHResolves(t *testing.T) {
	const file = `
ssh: {user: repl, key_file: /etc/syncagent/id, options: [A=b]}
targets:
  s1: {host: 10.0.0.1, transport: ssh, ssh: {port: 2222}}
  s2: {host: 10.0.0.2}
modules:
  www: {path: /www}
  bbs: {path: /bbs, transport: ssh, targets: [{target: s2, path: /data/bbs}]}
`
	m, err := DecodeMaster("agent.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Validate(nil); err != nil {
		t.Fatal(err)
	}
	list, err := m.Modules()
	if err != nil {
		t.Fatal(err)
	}
	s1, s2, other := list[0].Targets[0], list[0].Targets[1], list[1].Targets[0]
	if s1.SSH == nil || s1.SSH.User != "repl" || s1.SSH.Port != 2222 || s1.SSH.KeyFile != "/etc/syncagent/id" || len(s1.SSH.Options) != 1 || s1.Dir != "/www" {
		t.Errorf("s1 is %+v %+v", s1, s1.SSH)
	}
	if s2.SSH != nil || s2.Port != DefaultPort || s2.Module != "www" {
		t.Errorf("s2 is %+v", s2)
	}
	if other.SSH == nil || other.Dir != "/data/bbs" || other.Module != "" {
		t.Errorf("bbs is %+v", other)
	}
}
