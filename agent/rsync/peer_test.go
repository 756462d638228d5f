package rsync_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"syncagent/agent/rsync"
)

// fake writes a program that stands in for rsync.
func (w *world) fake(script string) {
	w.t.Helper()
	w.bin = filepath.Join(w.t.TempDir(), "rsync")
	must(w.t, os.WriteFile(w.bin, []byte("#!/bin/sh\n"+script), 0o755))
}

func TestFakeRsync(t *testing.T) {
	w := newWorld(t)
	w.write("f", "1")
	patient := w.opts
	for _, tt := range []struct {
		name, script string
		class        rsync.Class
		text         string
	}{
		{"hangs", "exec sleep 1000", rsync.Transient, "no progress"},
		{"hangs, deaf, with a child", "trap '' TERM; sleep 1000 & while :; do wait; done", rsync.Transient, "no progress"},
		{"opens a pipe", `mkfifo "$0.p" && exec cat "$0.p"`, rsync.Transient, "named pipe"},
		{"says nothing, exit 0", "exit 0", rsync.Partial, "passed over"},
		{"garbage", "head -c 2000000 /dev/urandom; exit 0", rsync.Partial, ""},
		{"garbage on stderr", "head -c 2000000 /dev/urandom >&2; exit 0", rsync.Partial, ""},
		{"a line without end", "head -c 5000000 /dev/zero", rsync.Partial, ""},
		{"1 GB on stderr", "yes 'rsync: oh no, what a long line of nothing at all this is' | head -c 1000000000 >&2; exit 23", rsync.Transient, "no end of messages"},
		{"1 GB on stdout", "yes 'oh no, what a long line of nothing at all this is, and how it goes on' | head -c 1000000000; exit 0", rsync.Transient, "no end of messages"},
		{"crashes", "kill -SEGV $$", rsync.Transient, ""},
		{"unknown code", "echo boom >&2; exit 99", rsync.Transient, "boom"},
		{"steers the terminal", `printf '@ERROR: \033[31m\007 auth failed on module m\n' >&2; exit 5`, rsync.Auth, "?[31m? auth failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.t, w.opts = t, patient
			if tt.text == "no progress" {
				w.opts.Stall = 300 * time.Millisecond
			}
			w.fake(tt.script)
			o := w.send(rsync.Batch{Send: paths("f")})
			w.wantErr(o, tt.class, "f")
			if o.Err != nil && (!strings.Contains(o.Err.Error(), tt.text) || len(o.Err.Error()) > 4096) {
				t.Errorf("error of %d bytes: %.300v", len(o.Err.Error()), o.Err)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		w.t, w.bin = t, "/nonexistent/rsync"
		w.wantErr(w.send(rsync.Batch{Send: paths("f")}), rsync.Incompatible, "f")
	})
}

// What a child can see: no password in its arguments or its environment.
func TestChildSeesNoSecret(t *testing.T) {
	w := newWorld(t)
	w.write("f", "1")
	t.Setenv("RSYNC_PASSWORD", "top-secret")
	t.Setenv("RSYNC_PROXY", "proxy:1")
	dump := filepath.Join(t.TempDir(), "dump")
	w.fake(`{ env; echo "$0" "$@"; } > ` + dump)
	w.send(rsync.Batch{Send: paths("f")})
	b, err := os.ReadFile(dump)
	must(t, err)
	for _, bad := range []string{"top-secret", "RSYNC_P", os.Getenv("HOME") + "\n"} {
		if strings.Contains(string(b), bad) {
			t.Errorf("%q in\n%s", bad, b)
		}
	}
}

func TestProbe(t *testing.T) {
	w := newWorld(t)
	motd := filepath.Join(t.TempDir(), "motd")
	must(t, os.WriteFile(motd, []byte("hello\n\nworld \x1b[1m\n"), 0o644))
	b, err := os.ReadFile(w.conf)
	must(t, err)
	must(t, os.WriteFile(w.conf, append([]byte("motd file = "+motd+"\n"), b...), 0o600))
	g, err := rsync.Probe(t.Context(), w.dest)
	must(t, err)
	if g.Protocol != "32.0" || !slices.Equal(g.MOTD, []string{"hello", "", "world ?[1m"}) {
		t.Errorf("%+v", g)
	}
}

func TestProbeOddPeers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		serve func(net.Conn)
		class rsync.Class // 0: no error
	}{
		{"http", func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, rsync.Incompatible},
		{"ssh", func(c net.Conn) { fmt.Fprint(c, "SSH-2.0-OpenSSH_9\r\n") }, rsync.Incompatible},
		{"no newline", func(c net.Conn) { fmt.Fprint(c, strings.Repeat("x", 1<<20)) }, rsync.Incompatible},
		{"closes", func(net.Conn) {}, rsync.Transient},
		{"silent", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, rsync.Transient},
		{"endless motd", func(c net.Conn) {
			fmt.Fprint(c, "@RSYNCD: 32.0 md5\n")
			for _, err := fmt.Fprint(c, "spam\n"); err == nil; _, err = fmt.Fprint(c, "spam\n") {
				continue
			}
		}, 0},
		{"old", func(c net.Conn) { fmt.Fprint(c, "@RSYNCD: 30.0\n@ERROR: Unknown command\n") }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			defer l.Close()
			done := make(chan struct{})
			go func() {
				defer close(done)
				if c, err := l.Accept(); err == nil {
					tt.serve(c)
					c.Close()
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if tt.class == 0 {
				ctx = t.Context()
			}
			g, err := rsync.Probe(ctx, rsync.Dest{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port})
			var e *rsync.Error
			switch {
			case tt.class == 0 && err != nil, tt.class != 0 && (!errors.As(err, &e) || e.Class != tt.class):
				t.Errorf("err %v", err)
			case len(g.MOTD) > 100:
				t.Errorf("%d lines", len(g.MOTD))
			}
			<-done
		})
	}
	_, err := rsync.Probe(t.Context(), rsync.Dest{Host: "127.0.0.1", Port: freePort(t)})
	var e *rsync.Error
	if !errors.As(err, &e) || e.Class != rsync.Transient || !strings.Contains(e.Hint, "receiver running") {
		t.Errorf("closed port: %v", err)
	}
}

func TestVersion(t *testing.T) {
	v, err := rsync.Version(t.Context(), "")
	must(t, err)
	if rsync.Older(v, "3.1.3") {
		t.Errorf("version %q", v)
	}
	if _, err := rsync.Version(t.Context(), "true"); err == nil {
		t.Error("true is no rsync")
	}
}
