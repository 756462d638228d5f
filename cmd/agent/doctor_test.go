package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"syncagent/agent/config"
	"syncagent/agent/doctor"
)

func TestFindingsText(t *testing.T) {
	list := []doctor.Finding{
		{Level: doctor.OK, Check: "rsync", Subject: "/usr/bin/rsync", Text: "version 3.5.0"},
		{Level: doctor.Warn, Check: "source", Subject: "www", Text: "/www/www is empty", Remedy: "mount its disk, if it should hold something"},
		{Level: doctor.Fail, Check: "password", Subject: "/a/path/that/is/longer/than/the/column", Text: "has mode 0644", Remedy: "chmod 600 it"},
	}
	want := strings.Join([]string{
		"ok    rsync     /usr/bin/rsync                    version 3.5.0",
		"warn  source    www                               /www/www is empty",
		"      -> mount its disk, if it should hold something",
		"fail  password  /a/path/that/is/longer/than/the/column  has mode 0644",
		"      -> chmod 600 it",
		"1 ok, 1 warn, 1 fail", "",
	}, "\n")
	if got := findingsText(list, false); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	colored := findingsText(list, true)
	for _, level := range []string{"\x1b[32mok  \x1b[0m", "\x1b[33mwarn\x1b[0m", "\x1b[31mfail\x1b[0m"} {
		if strings.Count(colored, level) != 1 {
			t.Errorf("%q is not in %q once", level, colored)
		}
	}
	for code := range strings.SplitSeq("32 33 31 0", " ") {
		colored = strings.ReplaceAll(colored, "\x1b["+code+"m", "")
	}
	if colored != want {
		t.Errorf("colour changes more than colour:\n%s", colored)
	}
}

func TestRoleOf(t *testing.T) {
	const (
		asMaster = "targets:\n  s1: {host: 192.0.2.1}\nmodules:\n  www: {path: /www}\n"
		asSlave  = "allow: [192.0.2.1]\nmodules:\n  www: {path: /www}\n"
	)
	for _, tt := range []struct {
		file, text string
		want       config.Role
	}{
		{"agent.yaml", asMaster, config.RoleMaster},
		{"receiver.yaml", asSlave, config.RoleSlave},
		{"receiver.yaml", asMaster, config.RoleMaster},
		{"agent.yaml", asSlave, config.RoleSlave},
		{"some.yaml", "", config.RoleMaster},
		{"receiver.yaml", "", config.RoleSlave},
		{"receiver.json", "{nonsense", config.RoleSlave},
		{"site.yaml", "nonsense: 1\n", config.RoleMaster},
	} {
		if got := roleOf("/etc/"+tt.file, []byte(tt.text)); got != tt.want {
			t.Errorf("%s %q: %s", tt.file, tt.text, got)
		}
	}
}

func TestDistinct(t *testing.T) {
	a, b := doctor.Finding{Check: "state", Subject: "/s"}, doctor.Finding{Check: "state", Subject: "/t"}
	if got := distinct([]doctor.Finding{a, b, a}); len(got) != 2 || got[0] != a || got[1] != b {
		t.Errorf("got %+v", got)
	}
	if got := distinct(nil); got == nil {
		t.Error("no findings encode as null")
	}
}

// doctorJSON runs the command on a configuration file.
func doctorJSON(t *testing.T, file string) (code int, findings map[string]doctor.Finding) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), []string{"doctor", "-c", file, "--output", "json"}, streams{strings.NewReader(""), &out, &errs})
	var got struct {
		Findings []doctor.Finding
		OK       *bool
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.OK == nil {
		t.Fatalf("%v: %q, standard error %q", err, out.String(), errs.String())
	}
	if *got.OK != (code == exitOK) {
		t.Errorf("ok is %v, exit code %d", *got.OK, code)
	}
	findings = map[string]doctor.Finding{}
	for _, f := range got.Findings {
		if old := findings[f.Check]; old.Level != doctor.Fail {
			findings[f.Check] = f
		}
	}
	return code, findings
}

// TestDoctorOfMaster: nothing listens at the target.
func TestDoctorOfMaster(t *testing.T) {
	dir := t.TempDir()
	port := idlePort(t)
	put(t, dir, "pass", "secret\n", 0o600)
	file := put(t, dir, "agent.yaml", "state_dir: "+dir+"\nsocket: "+dir+"/s\nauth: {user: repl, password_file: "+dir+"/pass}\n"+
		"targets:\n  s1: {host: 127.0.0.1, port: "+port+"}\nmodules:\n  www: {path: "+t.TempDir()+"}\n", 0o644)
	code, found := doctorJSON(t, file)
	if code != exitFailed || found["port"].Level != doctor.Fail || !strings.Contains(found["port"].Text, "refuses") {
		t.Errorf("exit code %d, %+v", code, found)
	}
	for _, check := range []string{"config", "state", "password", "rsync"} {
		if found[check].Level == doctor.Fail || found[check].Level == "" {
			t.Errorf("%+v", found[check])
		}
	}
}

// TestDoctorOfSlave: what init writes is what doctor expects.
func TestDoctorOfSlave(t *testing.T) {
	dir := t.TempDir()
	pass := put(t, dir, "pass", "secret\n", 0o600)
	var out, errs bytes.Buffer
	inst := filepath.Join(dir, "inst")
	code := run(context.Background(), []string{"init", "slave", "--dir", inst, "--module", "www=" + dir + "/www", "--password-file", pass, "--allow", "127.0.0.1", "--port", idlePort(t)},
		streams{strings.NewReader(""), &out, &errs})
	if code != exitOK {
		t.Fatalf("init: %d, %s", code, errs.String())
	}
	file := filepath.Join(inst, "receiver.yaml")
	code, found := doctorJSON(t, file)
	if code != exitOK || found["conf"].Level != doctor.OK || found["access"].Level != doctor.OK {
		t.Errorf("exit code %d, %+v", code, found)
	}
	conf := filepath.Join(inst, "rsyncd.conf")
	data, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	put(t, inst, "rsyncd.conf", strings.Replace(string(data), "127.0.0.1", "127.0.0.0/8", 1), 0o644)
	if code, found = doctorJSON(t, file); code != exitFailed || !strings.Contains(found["conf"].Text, "127.0.0.0/8") {
		t.Errorf("edited by hand: exit code %d, %+v", code, found)
	}
}

// TestDoctorOfMistakes: a configuration that cannot be read is a finding with
// its line, not the end.
func TestDoctorOfMistakes(t *testing.T) {
	code, found := doctorJSON(t, put(t, t.TempDir(), "agent.yaml", "targets:\n  s1: {hots: x}\n", 0o644))
	if code != exitFailed || !strings.Contains(found["config"].Text, "agent.yaml:2") || found["config"].Remedy == "" || found["rsync"].Level == "" {
		t.Errorf("exit code %d, %+v", code, found)
	}
	code, found = doctorJSON(t, filepath.Join(t.TempDir(), "agent.yaml"))
	if code != exitFailed || !strings.Contains(found["config"].Text, "no such file") {
		t.Errorf("missing: exit code %d, %+v", code, found)
	}
}

func put(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return file
}

// idlePort is one on which nothing listens.
func idlePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
