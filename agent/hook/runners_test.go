package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"syncagent/agent/proc"
	"syncagent/secrets"
)

// odd is a name that breaks what is glued together.
const odd = "a b/`touch x`;$(id)\"'\n{module}\xff"

// spawner starts real children.
func spawner(t *testing.T) *proc.Spawner {
	t.Helper()
	s := proc.NewSpawner("")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// script writes a program that a command hook can run.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// runEach gives a runner one path at a time, as a Hook does.
func runEach(t *testing.T, r Runner, e Event) {
	t.Helper()
	h := &Hook{spec: Spec{Runner: r}}
	for _, p := range h.parts(e) {
		if len(p.event.Paths) != 1 {
			t.Errorf("takes %d paths at a time", len(p.event.Paths))
		}
		if err := r.Run(t.Context(), p.event); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestCommandArguments(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	prog := script(t, `printf '%s|' "$@" >>"$OUT"`)
	t.Setenv("OUT", out)
	c := Command{Argv: []string{prog, "{path}", "-m={module}", "{rel}", "{target}", "{op}", "{count}", "{x}"}, Spawner: spawner(t)}
	runEach(t, c, event(odd, "b"))
	want := "/www/www/" + odd + "|-m=www|" + odd + "|s1|put|1|{x}|/www/www/b|-m=www|b|s1|put|1|{x}|"
	if got := read(t, out); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestCommandLegacy(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	prog := script(t, `printf '%s|' "$@" >"$OUT"`)
	t.Setenv("OUT", out)
	if err := (Command{Argv: Legacy(prog+"  -x", "mmm.sh  y"), Spawner: spawner(t)}).Run(t.Context(), event("a b")); err != nil {
		t.Fatal(err)
	}
	if got := read(t, out); got != "-x|/www/www/a b|mmm.sh|y|" {
		t.Errorf("got %q", got)
	}
}

func TestCommandList(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	t.Setenv("OUT", out)
	prog := script(t, `cat >"$OUT"; echo "$1 $SYNCAGENT_HOOK_MODULE $SYNCAGENT_HOOK_TARGET $SYNCAGENT_HOOK_RESULT" >>"$OUT"`)
	if err := (Command{Argv: []string{prog, "{count}"}, Spawner: spawner(t)}).Run(t.Context(), event(odd, "b")); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, out), "/www/www/"+odd+"\x00/www/www/b\x002 www s1 success\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestCommandReadsNothing: a command that ends without reading a long list has
// done its work.
func TestCommandReadsNothing(t *testing.T) {
	e := event()
	for i := range 20_000 {
		e.Paths = append(e.Paths, event(strings.Repeat("x", 50)+strconv.Itoa(i)).Paths...)
	}
	if err := (Command{Argv: []string{"true"}, Spawner: spawner(t)}).Run(t.Context(), e); err != nil {
		t.Error(err)
	}
}

func TestCommandFails(t *testing.T) {
	prog := script(t, "echo one; echo 'cannot reach\ttwo' >&2; exit 3")
	err := Command{Argv: []string{prog}, Spawner: spawner(t)}.Run(t.Context(), event("a"))
	if want := `run ` + prog + `: exit status 3: it said "cannot reach\ttwo"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := (Command{Argv: []string{"/does/not/exist"}, Spawner: spawner(t)}).Run(t.Context(), event("a")); err == nil {
		t.Error("no error")
	}
}

// TestCommandTimesOut: a command that ignores TERM is killed with its
// descendants.
func TestCommandTimesOut(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	t.Setenv("PIDS", pids)
	prog := script(t, `trap '' TERM; sleep 1000 & echo $$ $! >"$PIDS.new"; mv "$PIDS.new" "$PIDS"; while :; do sleep 1000; done`)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error)
	go func() { done <- Command{Argv: []string{prog}, Spawner: spawner(t)}.Run(ctx, event("a")) }()
	for _, err := os.Stat(pids); err != nil; _, err = os.Stat(pids) {
		time.Sleep(time.Millisecond) // polls
	}
	cancel(context.DeadlineExceeded)
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	for pid := range strings.FieldsSeq(read(t, pids)) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err == nil && !strings.Contains(string(stat), ") Z ") { // a zombie waits for process 1
			t.Errorf("process lives: %s", stat)
		}
	}
}

func TestCommandState(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	t.Setenv("OUT", out)
	prog := script(t, `printf '%s|' "$@" "$SYNCAGENT_HOOK_STATE" >"$OUT"`)
	e := Event{Module: "www", Target: "s1", State: &State{State: "backoff", Class: "transient", Error: "no route; rm -rf /", Since: time.Unix(0, 0)}}
	if err := (Command{Argv: []string{prog, "{module}/{target}", "{state}", "{class}", "{error}", "{since}"}, Spawner: spawner(t)}).Run(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, out), "www/s1|backoff|transient|no route; rm -rf /|1970-01-01T00:00:00Z|backoff|"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// listener takes connections and returns what each brought.
func listener(t *testing.T, network, address string) (string, chan string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got := make(chan string, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			data, _ := io.ReadAll(conn)
			conn.Close()
			got <- string(data)
		}
	}()
	return l.Addr().String(), got
}

func TestSocketBare(t *testing.T) {
	address, got := listener(t, "tcp", "127.0.0.1:0")
	runEach(t, Socket{Address: address, Bare: true}, event("d/s1", odd))
	if a, b := <-got, <-got; a != "/www/www/d/s1" || b != "/www/www/"+odd {
		t.Errorf("got %q and %q", a, b)
	}
}

func TestSocketJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s")
	_, got := listener(t, "unix", file)
	e := event("a", odd)
	e.Paths[0].Op, e.Paths[0].Dir, e.delivery = Delete, true, "D"
	if err := (Socket{Address: "unix:" + file}).Run(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	line := <-got
	var m message
	if err := json.Unmarshal([]byte(line), &m); err != nil || strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
		t.Fatalf("%v in %q", err, line)
	}
	want := `{"delivery":"D","module":"www","target":"s1","root":"/www/www","result":"success","time":"1970-01-01T00:00:01Z",` +
		`"paths":[{"path":"a","op":"delete","dir":true},{"path_b64":`
	if !strings.HasPrefix(line, want) || string(m.Paths[1].PathB64) != odd {
		t.Errorf("got %s", line)
	}
}

// TestSocketHangs: a peer that does not read on costs no more than the time there is.
func TestSocketHangs(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e := event()
	for i := range 5_000 {
		e.Paths = append(e.Paths, event(strings.Repeat("x", 200)+strconv.Itoa(i)).Paths...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		if conn, err := l.Accept(); err == nil {
			_, _ = conn.Read(make([]byte, 1)) // it is being written to
			cancel()                          // and the time is over
			<-t.Context().Done()
			conn.Close()
		}
	}()
	if err := (Socket{Address: "unix:" + l.Addr().String()}).Run(ctx, e); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestSocketFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	err = Socket{Address: l.Addr().String()}.Run(t.Context(), event("a"))
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
}

// seen is a request that a server got.
type seen struct {
	line, body string
	header     http.Header
	host       string
}

// server answers with code and keeps what it got.
func server(t *testing.T, code int, answer http.Header) (*httptest.Server, func() []seen) {
	t.Helper()
	got := make(chan seen, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- seen{r.Method + " " + r.RequestURI, string(body), r.Header, r.Host}
		for k, v := range answer {
			w.Header()[k] = v
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "said so\n")
	}))
	t.Cleanup(s.Close)
	return s, func() []seen {
		var list []seen
		for len(got) > 0 {
			list = append(list, <-got)
		}
		return list
	}
}

func secret(t *testing.T, text string) Secret {
	t.Helper()
	return func() (secrets.Secret, error) { return secrets.New(text) }
}

func TestHTTPJSON(t *testing.T) {
	s, got := server(t, 204, nil)
	e := event("a", "b")
	e.delivery = "D1"
	h := HTTP{URL: s.URL + "/pushed", Headers: []string{"X-Own: a: b"}, Secret: secret(t, "key"), Client: NewClient()}
	if err := h.Run(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	r := got()[0]
	want := `{"delivery":"D1","module":"www","target":"s1","root":"/www/www","result":"success","time":"1970-01-01T00:00:01Z",` +
		`"paths":[{"path":"a","op":"put","dir":false},{"path":"b","op":"put","dir":false}]}`
	if r.line != "POST /pushed" || r.body != want {
		t.Errorf("got %s\n%s", r.line, r.body)
	}
	key, _ := secrets.New("key")
	if got := r.header.Get(SignatureHeader); got != Sign(key, []byte(want)) || r.header.Get(DeliveryHeader) != "D1" || r.header.Get("X-Own") != "a: b" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", r.header)
	}
}

// TestHTTPBearer: a secret that a header asks for stands there, and nothing is signed;
// one in an answer is not told.
func TestHTTPBearer(t *testing.T) {
	var got http.Header
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, "not ", r.Header.Get("Authorization"))
	}))
	defer s.Close()
	h := HTTP{URL: s.URL, Headers: []string{"Authorization: Bearer {secret}"}, Secret: secret(t, "t0ken"), Client: NewClient()}
	for range 2 { // what a header asks for is there each time
		err := h.Run(t.Context(), event("a"))
		if err == nil || !strings.Contains(err.Error(), "not Bearer ********") || strings.Contains(err.Error(), "t0ken") {
			t.Errorf("%v", err)
		}
		if got.Get("Authorization") != "Bearer t0ken" || got.Get(SignatureHeader) != "" {
			t.Errorf("headers %v", got)
		}
	}
}

// TestSign holds the algorithm: RFC 4231, test case 2.
func TestSign(t *testing.T) {
	key, _ := secrets.New("Jefe")
	want := "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	if got := Sign(key, []byte("what do ya want for nothing?")); got != want {
		t.Errorf("got %s", got)
	}
}

func TestHTTPForm(t *testing.T) {
	s, got := server(t, 200, nil)
	e := event("a&b=c", "d", "e")
	e.Paths[1].Op, e.Paths[1].Dir = Delete, true
	e.Paths[2].Dir = true
	runEach(t, HTTP{URL: s.URL, Form: true, Client: NewClient()}, e)
	want := []string{
		"watchroot=%2Fwww%2Fwww&isdir=0&inotifyPath=%2Fwww%2Fwww%2Fa%26b%3Dc&mask=8",
		"watchroot=%2Fwww%2Fwww&isdir=1&inotifyPath=%2Fwww%2Fwww%2Fd&mask=1073742336",
		"watchroot=%2Fwww%2Fwww&isdir=1&inotifyPath=%2Fwww%2Fwww%2Fe&mask=1073742080",
	}
	for i, r := range got() {
		if r.body != want[i] || r.header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("got %s", r.body)
		}
	}
}

func TestHTTPAnswers(t *testing.T) {
	tests := []struct {
		code      int
		permanent bool
	}{{302, true}, {400, true}, {401, true}, {404, true}, {408, false}, {429, false}, {500, false}, {503, false}}
	for _, tt := range tests {
		s, got := server(t, tt.code, http.Header{"Location": {"/elsewhere"}})
		err := HTTP{URL: s.URL, Client: NewClient()}.Run(t.Context(), event("a"))
		if err == nil || errors.As(err, new(Permanent)) != tt.permanent || !strings.Contains(err.Error(), `said "said so"`) && !strings.Contains(err.Error(), `it said "said so"`) {
			t.Errorf("%d: %v", tt.code, err)
		}
		if n := len(got()); n != 1 {
			t.Errorf("%d: %d requests", tt.code, n)
		}
	}
}

// TestServersThatMisbehave: one that hangs up, hangs, or never ends its answer fails
// within the time-out; what it answers is bounded, and a secret in it is not told.
func TestServersThatMisbehave(t *testing.T) {
	key := secret(t, `hun"zq 2`)
	tests := map[string]struct {
		does http.HandlerFunc
		want string
	}{
		"hangs":    {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "deadline exceeded"},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<16)); err != nil {
					return
				}
			}
		}, "answered 418"},
		"trickles": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "answered 500"},
		"redirects": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://192.0.2.1/")
			w.WriteHeader(307)
		}, "answered 307"},
		"repeats": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, "no %s\n%s %s %q", r.URL, strings.Repeat("y", 170), r.URL.Query().Get("pswd"), r.URL.Query().Get("pswd"))
		}, "answered 403"},
		"repeats in the header": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("whatsup", "no "+r.URL.RequestURI()+" "+r.URL.Query().Get("pswd"))
		}, "whatsup"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(tt.does)
			defer s.Close()
			c := CDN{Template: Templates()["chinacache"], Base: "http://img.example.com", User: "u", Secret: key, Client: NewClient()}
			c.Template.URL = strings.Replace(c.Template.URL, "http://ccms.chinacache.com", s.URL, 1)
			if name != "repeats in the header" {
				c.Template.Method = http.MethodPost // an answer to HEAD has no body
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if name == "endless" || strings.HasPrefix(name, "re") {
				ctx = t.Context()
			}
			err := c.Run(ctx, event("a"))
			if err == nil || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 1000 {
				t.Fatalf("%v", err)
			}
			for _, part := range []string{"hun", "zq", "192.0.2.1"} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

// TestOneRefusedPortion: what a CDN refuses of a long list holds back none of the
// rest, and what may do better is tried again.
func TestOneRefusedPortion(t *testing.T) {
	codes := []int{400, 200, 500}
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(codes[len(got)%len(codes)])
		got = append(got, string(body))
	}))
	defer s.Close()
	var many []string
	for i := range 70 {
		many = append(many, strconv.Itoa(i))
	}
	err := cdn(t, "cloudflare", s.URL).Run(t.Context(), event(many...))
	if err == nil || errors.As(err, new(Permanent)) || !strings.Contains(err.Error(), "500") || len(got) != 3 {
		t.Errorf("%d requests, %v", len(got), err)
	}
}

// TestOddNamesInRequests: whatever stands in a name, the request is one, and its
// lines are those of the template.
func TestOddNamesInRequests(t *testing.T) {
	s, got := server(t, 200, nil)
	for _, name := range []string{"a\r\nX-Evil: 1", "-rf", "\xff\xfe", `q"'{secret}{url}`, "?x=1#y", "../up", "%2e%2e/x"} {
		c := CDN{
			Template: Template{Method: "PURGE", URL: s.URL + "/p?u={url}&r={rel}", Headers: []string{"X-Of: {rel}"}, Body: `{"r":"{rel}"}`},
			Base:     "http://x.example.com/", Secret: secret(t, "hunter2"), Client: NewClient(),
		}
		if err := c.Run(t.Context(), event(name)); err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		list := got()
		r := list[0]
		line := strings.TrimPrefix(r.line, "PURGE ")
		u, err := url.ParseRequestURI(line)
		if len(list) != 1 || err != nil || u.Path != "/p" || len(u.Query()) != 2 || u.Fragment != "" || r.header.Get("X-Evil") != "" ||
			strings.Contains(line+r.body+r.header.Get("X-Of"), "hunter2") || !json.Valid([]byte(r.body)) {
			t.Errorf("%q: %+v", name, list)
		}
	}
}

// TestNoSecretInErrors: a URL that holds a secret is in no error, whether the
// server cannot be reached, hangs up or refuses.
func TestNoSecretInErrors(t *testing.T) {
	s, _ := server(t, 403, nil)
	gone := "http://127.0.0.1:1"
	for _, to := range []string{s.URL, gone} {
		c := CDN{Template: Templates()["chinacache"], Base: "http://img.example.com", User: "u", Secret: secret(t, "hunter2"), Client: NewClient()}
		c.Template.URL = strings.Replace(c.Template.URL, "http://ccms.chinacache.com", to, 1)
		err := c.Run(t.Context(), event("a"))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", to, err)
		}
	}
	c := CDN{Template: Template{Method: "POST", URL: "http://[::1]:x/{secret}"}, Base: "http://img.example.com", Secret: secret(t, "hunter2"), Client: NewClient()}
	if err := c.Run(t.Context(), event("a")); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

// cdn is a hook of a template that asks a local server.
func cdn(t *testing.T, name, to string) CDN {
	t.Helper()
	tpl := Templates()[name]
	u, err := url.Parse(strings.ReplaceAll(tpl.URL, "{bare}", ""))
	if err != nil {
		t.Fatal(err)
	}
	tpl.URL = strings.Replace(tpl.URL, u.Scheme+"://"+u.Host, to, 1)
	return CDN{Template: tpl, Base: "https://www.example.com/", Zone: "z1", User: "me", Secret: secret(t, "tok&n"), Client: NewClient()}
}

func mixed() Event {
	e := event("a b.css", "gone", "new")
	e.Paths[1].Op, e.Paths[1].Dir = Delete, true
	e.Paths[2].Op, e.Paths[2].Dir = Tree, true
	return e
}

func TestCloudflare(t *testing.T) {
	s, got := server(t, 200, nil)
	if err := cdn(t, "cloudflare", s.URL).Run(t.Context(), mixed()); err != nil {
		t.Fatal(err)
	}
	list := got()
	want := []string{`{"files":["https://www.example.com/a%20b.css"]}`, `{"prefixes":["www.example.com/gone/","www.example.com/new/"]}`}
	for i, r := range list {
		if r.line != "POST /client/v4/zones/z1/purge_cache" || r.body != want[i] || r.header.Get("Authorization") != "Bearer tok&n" || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("got %+v", r)
		}
	}
	if len(list) != 2 {
		t.Errorf("%d requests", len(list))
	}
	var many []string
	for i := range 70 {
		many = append(many, strconv.Itoa(i))
	}
	if err := cdn(t, "cloudflare", s.URL).Run(t.Context(), event(many...)); err != nil {
		t.Fatal(err)
	}
	if n := len(got()); n != 3 {
		t.Errorf("70 files took %d requests", n)
	}
}

func TestFastly(t *testing.T) {
	s, got := server(t, 200, nil)
	if err := cdn(t, "fastly", s.URL).Run(t.Context(), mixed()); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range got() {
		lines = append(lines, r.line+" "+r.header.Get("Fastly-Key"))
	}
	want := []string{"POST /purge/www.example.com/a%20b.css tok&n", "POST /purge/www.example.com/gone/ tok&n", "POST /purge/www.example.com/new/ tok&n"}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q", lines)
	}
}

func TestBunny(t *testing.T) {
	s, got := server(t, 204, nil)
	runEach(t, cdn(t, "bunny", s.URL), mixed())
	var lines []string
	for _, r := range got() {
		lines = append(lines, r.line+" "+r.header.Get("AccessKey"))
	}
	const head = "POST /purge?url=https%3A%2F%2Fwww.example.com%2F"
	want := []string{head + "a%2520b.css tok&n", head + "gone%2F tok&n", head + "new%2F tok&n"}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q", lines)
	}
}

// TestChinaCache: the request of the original, with values encoded, and its
// answer.
func TestChinaCache(t *testing.T) {
	s, got := server(t, 200, http.Header{"Whatsup": {`content="succeed"`}})
	if err := cdn(t, "chinacache", s.URL).Run(t.Context(), mixed()); err != nil {
		t.Fatal(err)
	}
	list := got()
	const head = "HEAD /index.jsp?user=me&pswd=tok%26n&ok=ok&"
	want := []string{
		head + "urls=https%3A%2F%2Fwww.example.com%2Fa%2520b.css",
		head + "dirs=https%3A%2F%2Fwww.example.com%2Fgone%2F",
		head + "dirs=https%3A%2F%2Fwww.example.com%2Fnew%2F",
	}
	for i, r := range list {
		if r.line != want[i] {
			t.Errorf("got %s", r.line)
		}
	}
	s, got = server(t, 200, http.Header{"Whatsup": {`content="failed"`}})
	if err := cdn(t, "chinacache", s.URL).Run(t.Context(), event("a")); err == nil || !strings.Contains(err.Error(), "failed") {
		t.Errorf("got %v", err)
	}
	c := cdn(t, "chinacache", s.URL)
	c.Match, c.Append = regexp.MustCompile(`cms/site([/a-zA-Z0-9]*)\.xml`), "index.html"
	_ = got()
	_ = c.Run(t.Context(), event("cms/site/x/.xml", "other.xml"))
	if list := got(); len(list) != 1 || !strings.HasSuffix(list[0].line, "urls=https%3A%2F%2Fwww.example.com%2Fx%2Findex.html") {
		t.Errorf("got %+v", list)
	}
}

// TestOwnTemplate: a cache of one's own, and a body with a list.
func TestOwnTemplate(t *testing.T) {
	s, got := server(t, 200, nil)
	c := CDN{Template: Template{Method: "PURGE", URL: "{url}", Headers: []string{"X-Of: {module} {rel}"}}, Base: s.URL + "/static", Client: NewClient()}
	if err := c.Run(t.Context(), event("a b")); err != nil {
		t.Fatal(err)
	}
	if r := got()[0]; r.line != "PURGE /static/a%20b" || r.header.Get("X-Of") != "www a b" {
		t.Errorf("got %+v", r)
	}
	c.Template = Template{Method: "POST", URL: s.URL + "/q?m={module}&r={rel}", Body: ` {"m":"{module}","all":[{urls}],"n":"{count}"}`}
	c.Base = `http://x.example.com/`
	e := event("a", `b"`)
	e.Module = `w"w`
	if err := c.Run(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if r := got()[0]; r.body != ` {"m":"w\"w","all":["http://x.example.com/a","http://x.example.com/b%22"],"n":"2"}` {
		t.Errorf("got %+v", r)
	}
}
