package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzModuleArgs: whatever stands in the file, there is one JSON object, one
// line, and a failure is one by its exit code too. Every run is a check run of
// an instance in a directory of its own.
func FuzzModuleArgs(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `[]`, `null`, `x`, `{"role":"slave"}`, "\xff\xfe", `{"role":"slave","config":{}}`,
		`{"role":"master","config":{"targets":{"s":{"host":"h"}},"modules":{"m":{"path":"/srv/m"}}},"password":"pw"}`,
		`{"role":"slave","rotate":"accept","user":"u","password":"pw"}`, `{"role":"slave","config":[[[[]]]],"_ansible_x":{}}`,
		`{"role":"slave","config":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 41),
		`{"role":"slave","users":[{"name":"a","password":"b"}],"config":{"modules":{"w":{"path":"/srv/w"}},"allow":["10.0.0.1"]},"force":"yes"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		data = harmless(data, filepath.Join(dir, "instance"))
		file := filepath.Join(dir, "args")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		code := run(context.Background(), []string{"ansible-module", file}, streams{strings.NewReader(""), &out, &errs})
		var report struct {
			Failed *bool
			Msg    string
		}
		if err := json.Unmarshal(out.Bytes(), &report); err != nil || bytes.Count(out.Bytes(), []byte("\n")) != 1 || report.Failed == nil {
			t.Fatalf("%v: %q (%s)", err, out.String(), errs.String())
		}
		if *report.Failed != (code != 0) || *report.Failed && report.Msg == "" {
			t.Fatalf("exit code %d: %s", code, out.String())
		}
		if _, err := os.Stat(filepath.Join(dir, "instance")); err == nil {
			t.Fatal("a check run wrote")
		}
	})
}

// harmless makes arguments that can be read those of a check run in dir.
func harmless(data []byte, dir string) []byte {
	var m map[string]json.RawMessage
	if json.Unmarshal(data, &m) != nil || m == nil {
		return data
	}
	m["_ansible_check_mode"] = json.RawMessage("true")
	m["dir"], _ = json.Marshal(dir) // a string
	delete(m, "root")
	out, err := json.Marshal(m)
	if err != nil {
		return data
	}
	return out
}

// TestModuleFile: no file, a huge one, a directory.
func TestModuleFile(t *testing.T) {
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, bytes.Repeat([]byte(" "), maxArgs+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{filepath.Join(dir, "none"), huge, dir} {
		var out bytes.Buffer
		code := run(context.Background(), []string{"ansible-module", file}, streams{strings.NewReader(""), &out, &out})
		if code != exitUsage || !json.Valid(out.Bytes()) || !strings.Contains(out.String(), `"failed":true`) {
			t.Errorf("%s: exit code %d: %s", file, code, out.String())
		}
	}
}
