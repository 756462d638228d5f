package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

const hunter = "hunter2:#x"

func mustNew(t *testing.T, text string) Secret {
	t.Helper()
	s, err := New(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCannotPrintItself tries every way a password usually gets out, also from
// inside other values, exported or not.
func TestCannotPrintItself(t *testing.T) {
	s := mustNew(t, hunter)
	type holder struct {
		Open   Secret
		closed Secret
		ptr    *Secret
		list   []Secret
	}
	values := []any{s, &s, holder{s, s, &s, []Secret{s}}, &holder{Open: s, closed: s}, map[string]Secret{"k": s}, []any{s}, User{"u", s}, fmt.Errorf("x %v", s)}
	var out strings.Builder
	text := slog.New(slog.NewTextHandler(&out, nil))
	lines := slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range values {
		for _, verb := range "vsqxXdtTpbcoUeEfFgGw" {
			for _, flag := range []string{"", "+", "#", "-", " ", "0", "10", ".3"} {
				_, _ = fmt.Fprintf(&out, "%"+flag+string(verb)+"\n", v)
			}
		}
		_, _ = fmt.Fprintln(&out, v)
		data, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		out.Write(data)
		text.Info("m", "v", v)
		lines.Info("m", "v", v)
	}
	for _, leak := range []string{"hunter", fmt.Sprintf("%x", hunter), fmt.Sprintf("%X", hunter)} {
		if i := strings.Index(out.String(), leak); i >= 0 {
			t.Errorf("printed: …%s", out.String()[max(0, i-60):i+20])
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("no asterisks either")
	}
	if s.Reveal() != hunter {
		t.Errorf("revealed %q", s.Reveal())
	}
}

func TestGenerate(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		s, err := Generate()
		if err != nil {
			t.Fatal(err)
		}
		text := s.Reveal()
		if len(text) != 43 || seen[text] || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("%q", text)
		}
		seen[text] = true
	}
}

func TestEqual(t *testing.T) {
	a, b, c := mustNew(t, "aa"), mustNew(t, "aa"), mustNew(t, "ab")
	if !a.Equal(b) || a.Equal(c) || a.Equal(Secret{}) || !(Secret{}).Equal(Secret{}) {
		t.Error("Equal compares wrongly")
	}
	if a.Empty() || !(Secret{}).Empty() {
		t.Error("Empty is wrong")
	}
}

func TestNew(t *testing.T) {
	tests := []struct{ text, want string }{
		{"x", ""},
		{"a b:#ü\\", ""},
		{strings.Repeat("a", MaxPassword), ""},
		{"", "the password is empty"},
		{strings.Repeat("a", MaxPassword+1), "the password has 512 bytes, rsync reads 511: take a shorter one"},
		{" x", "the password begins or ends with a blank, which rsync counts and people do not see: remove it"},
		{"x\t", "the password begins or ends with a blank, which rsync counts and people do not see: remove it"},
		{"a\nb", "the password holds a control character at byte 2: use printable characters"},
		{"ab\x00c", "the password holds a control character at byte 3: use printable characters"},
		{"ab\rc", "the password holds a control character at byte 3: use printable characters"},
		{"\ufeffx", "the password begins with a byte order mark: save the file as plain UTF-8"},
	}
	for _, tt := range tests {
		got := ""
		if _, err := New(tt.text); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("New(%.20q): %s, want %s", tt.text, got, tt.want)
		}
	}
}

func TestCheckUser(t *testing.T) {
	for _, name := range []string{"repl", "a.b-c_d", "ü", "1", strings.Repeat("u", MaxUser)} {
		if err := CheckUser(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "#u", "@g", "a:b", "a b", "a,b", "*", "a\nb", "a\tb", "a%20", "a/b", strings.Repeat("u", MaxUser+1)} {
		if err := CheckUser(name); err == nil {
			t.Errorf("%.20q is taken", name)
		}
	}
}

// TestLoadFile records the messages, with $F for the file.
func TestLoadFile(t *testing.T) {
	const remedy = "; write one with: agent secrets generate > $F; chmod 600 $F"
	tests := []struct {
		name, content string
		mode          fs.FileMode
		want, wantErr string
	}{
		{"plain", "secret\n", 0o600, "secret", ""},
		{"no line end", "secret", 0o400, "secret", ""},
		{"first line alone, CRLF", "\r\nsecret\r\nmore\n", 0o640, "secret", ""},
		{"colon", "a:b", 0o660, "a:b", ""},
		{"empty", "", 0o600, "", "password file $F: the password is empty" + remedy},
		{"line ends", "\n\r\n", 0o600, "", "password file $F: the password is empty" + remedy},
		{"read by others", "secret", 0o604, "", "password file $F has mode 0604, so every user can read or change it and rsync refuses it: chmod 600 $F"},
		{"written by others", "secret", 0o602, "", "password file $F has mode 0602, so every user can read or change it and rsync refuses it: chmod 600 $F"},
		{"long", strings.Repeat("secret", 100), 0o600, "", "password file $F: the password has 600 bytes, rsync reads 511: take a shorter one" + remedy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pass")
			if err := os.WriteFile(file, []byte(tt.content), tt.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, tt.mode); err != nil {
				t.Fatal(err)
			}
			s, err := LoadFile(file)
			compare(t, file, s, err, tt.want, tt.wantErr)
			if modeErr := CheckMode(file); (modeErr != nil) != strings.Contains(tt.wantErr, "mode") {
				t.Errorf("CheckMode: %v", modeErr)
			}
		})
	}
}

func compare(t *testing.T, file string, s Secret, err error, want, wantErr string) {
	t.Helper()
	got := ""
	if err != nil {
		got = strings.ReplaceAll(err.Error(), file, "$F")
	}
	if got != wantErr || s.Reveal() != want {
		t.Errorf("got %q, %s\nwant %q, %s", s.Reveal(), got, want, wantErr)
	}
}

func TestLoadFileOddKinds(t *testing.T) {
	dir := t.TempDir()
	_, err := LoadFile(dir + "/none")
	compare(t, dir+"/none", Secret{}, err, "", "password file $F does not exist; write one with: agent secrets generate > $F; chmod 600 $F")
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(CheckMode(dir+"/none"), fs.ErrNotExist) {
		t.Error("a missing file is not fs.ErrNotExist")
	}
	_, err = LoadFile(dir)
	compare(t, dir, Secret{}, err, "", "password file $F is a directory: name a regular file")
	fifo := dir + "/fifo"
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = LoadFile(fifo)
	compare(t, fifo, Secret{}, err, "", "password file $F is a fifo: name a regular file")
}

// TestForeignOwner needs root, who alone can give a file away; another user is
// not asked for the owner by rsync either.
func TestForeignOwner(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if _, err := LoadFile(file); err != nil {
			t.Error(err)
		}
		return
	}
	if err := os.Chown(file, 1234, 0); err != nil {
		t.Fatal(err)
	}
	_, err := LoadFile(file)
	compare(t, file, Secret{}, err, "", "password file $F belongs to uid 1234, and rsync run by root takes only root's own: chown root $F")
}

func TestReadAndEnv(t *testing.T) {
	s, err := Read(strings.NewReader("secret\r\nmore"))
	compare(t, "", s, err, "secret", "")
	if _, err = Read(strings.NewReader("\nsecret")); err == nil {
		t.Error("an empty first line is taken")
	}
	if _, err = Read(brokenReader{}); err == nil || err.Error() != "read password from standard input: broken" {
		t.Errorf("got %v", err)
	}
	t.Setenv("SYNCAGENT_TEST_PASSWORD", "fromenv")
	s, err = FromEnv("SYNCAGENT_TEST_PASSWORD")
	compare(t, "", s, err, "fromenv", "")
	_, err = FromEnv("SYNCAGENT_TEST_NONE")
	compare(t, "SYNCAGENT_TEST_NONE", Secret{}, err, "", "environment variable $F: the password is empty")
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestParseServer(t *testing.T) {
	users, err := ParseServer([]byte("# head\r\n\nrepl:a:b c\r\nother:x"))
	if err != nil || len(users) != 2 || users[0].Name != "repl" || users[0].Secret.Reveal() != "a:b c" || users[1].Secret.Reveal() != "x" {
		t.Errorf("got %v, %v", users, err)
	}
	const badUser = "line 2: the user name before the colon cannot be used: write user:password, without blanks around the user"
	tests := []struct{ text, want string }{
		{"hunter2\n", "line 1: no colon: write user:password"},
		{"\n:hunter2\n", badUser},
		{"u:\n", "line 1: the password is empty"},
		{" u:hunter2\n", badUser[:5] + "1" + badUser[6:]},
		{"u:hunter2\nv:x\nu:hunter3\n", `line 3: user "u" stands in line 1 already, and rsync tries the first alone: remove one`},
		{"u:hunter2 \n", "line 1: the password begins or ends with a blank, which rsync counts and people do not see: remove it"},
	}
	for _, tt := range tests {
		_, err := ParseServer([]byte(tt.text))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%q: got %v, want %s", tt.text, err, tt.want)
		}
	}
}

// TestRenderParse: what is rendered is read as the same.
func TestRenderParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var users []User
		for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z][a-z0-9._-]{0,10}`), 0, 4, rapid.ID[string]).Draw(t, "names") {
			s, err := New(rapid.StringMatching(`[!-~]([ -~ü]{0,20}[!-~])?`).Draw(t, "password"))
			if err != nil {
				t.Fatal(err)
			}
			users = append(users, User{name, s})
		}
		got, err := ParseServer(RenderServer(users))
		if err != nil || len(got) != len(users) {
			t.Fatalf("%v, %v", got, err)
		}
		for i, u := range got {
			if u.Name != users[i].Name || !u.Secret.Equal(users[i].Secret) {
				t.Fatalf("user %d changed", i)
			}
			s, err := Read(bytes.NewReader(RenderClient(u.Secret)))
			if err != nil || !s.Equal(u.Secret) {
				t.Fatalf("client file of user %d: %v", i, err)
			}
		}
	})
}

func FuzzParseServer(f *testing.F) {
	f.Add([]byte("repl:secret\n#x\n\nother:y:z\r\n"))
	f.Add([]byte(":"))
	f.Add([]byte("u:\xff\nu:"))
	f.Fuzz(func(t *testing.T, data []byte) {
		users, err := ParseServer(data)
		if err != nil {
			return
		}
		again, err := ParseServer(RenderServer(users))
		if err != nil || len(again) != len(users) {
			t.Fatalf("%q: %v", data, err)
		}
		for _, line := range bytes.Split(RenderServer(users), []byte("\n")) {
			if len(line) > 1023 {
				t.Fatalf("a line of %d bytes", len(line))
			}
		}
	})
}
