package config

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fakeHost is 192.168.1.167, called web1.example.com, where a password file is
// good unless its name says otherwise and /data/link leads to /www.
type fakeHost struct{ receiver *Receiver }

func (fakeHost) Addresses() ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.168.1.167")}, nil
}

func (fakeHost) Lookup(name string) ([]netip.Addr, error) {
	if name == "web1.example.com" {
		return []netip.Addr{netip.MustParseAddr("192.168.1.167")}, nil
	}
	return nil, errors.New("no such host")
}

func (h fakeHost) Receiver() (*Receiver, error) { return h.receiver, nil }

func (fakeHost) Resolve(path string) string {
	if rest, ok := strings.CutPrefix(path, "/data/link"); ok {
		return "/www" + rest
	}
	return path
}

func (fakeHost) Password(path string) error {
	if strings.Contains(path, "bad") {
		return fmt.Errorf("password file %s is bad", path)
	}
	return nil
}

func (h fakeHost) Secrets(path, _ string) error { return h.Password(path) }

// verdict decodes and validates one file and returns what a user would read.
func verdict(t *testing.T, name string, data []byte, own *Receiver) string {
	t.Helper()
	host := &Host{Net: fakeHost{own}, Files: fakeHost{own}}
	var err error
	if strings.HasPrefix(name, "receiver") {
		var r *Receiver
		if r, err = DecodeReceiver(name, data); err == nil {
			err = r.Validate(host)
		}
	} else {
		var m *Master
		if m, err = DecodeMaster(name, data); err == nil {
			err = m.Validate(host)
		}
	}
	if err == nil {
		return "ok\n"
	}
	var f *Fault
	if !errors.As(err, &f) || f.Problem == "" {
		t.Errorf("no Fault in %#v", err)
	}
	return err.Error() + "\n"
}

// TestBadInput runs every archive in testdata/bad: a file, optionally this
// host's own receiver as own.yaml, and the messages. An archive's comment says
// what it is about.
func TestBadInput(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { badInput(t, file) })
	}
}

func badInput(t *testing.T, file string) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var own *Receiver
	var got, want string
	wantAt := -1
	for i, f := range ar.Files {
		switch f.Name {
		case "own.yaml":
			if own, err = DecodeReceiver(f.Name, f.Data); err != nil {
				t.Fatal(err)
			}
		case "want":
			wantAt, want = i, string(f.Data)
		default:
			got += verdict(t, f.Name, f.Data, own)
		}
	}
	if *update {
		if wantAt < 0 {
			wantAt, ar.Files = len(ar.Files), append(ar.Files, txtar.File{Name: "want"})
		}
		ar.Files[wantAt].Data = []byte(got)
		if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}
