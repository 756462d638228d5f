package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"syncagent/agent/rsync"
)

func TestStubSendsAndTells(t *testing.T) {
	dir := t.TempDir()
	runs, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, stubSocket), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer runs.Close()
	var out bytes.Buffer
	if code := stub(dir, []string{"-a", "/src/", "rsync://h:1/m/"}, strings.NewReader("/a\x00/d/b c\x00"), &out); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if want := "<f+++++++++|a|0\n<f+++++++++|d/b c|0\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if err := awaitRuns(runs, "/d/b c", 1, time.Now().Add(time.Second)); err != nil {
		t.Error(err)
	}
}

// A dry run and one without a list move nothing and are not told: there is no
// socket to tell them to.
func TestStubKeepsStill(t *testing.T) {
	for name, tt := range map[string]struct{ args, list, want string }{
		"dry run": {"-n rsync://h:1/m/", "/a\x00", ".f         |a|0\n"},
		"no list": {"-a rsync://h:1/m/", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			code := stub(t.TempDir(), strings.Fields(tt.args), strings.NewReader(tt.list), &out)
			if code != 0 || out.String() != tt.want {
				t.Errorf("got %d, %q, want %q", code, out.String(), tt.want)
			}
		})
	}
}

func TestTold(t *testing.T) {
	dest, entries := told([]byte("rsync://h/m/\n/a\x00/b\nc\x00"))
	if dest != "rsync://h/m/" || !slices.Equal(entries, []string{"/a", "/b\nc"}) {
		t.Errorf("got %q, %q", dest, entries)
	}
}

// What the agent asks before it spends a process must be answered as by rsync.
func TestFakeDaemonsGreet(t *testing.T) {
	f, err := fakeDaemons(2)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	for _, l := range f {
		addr := l.Addr().(*net.TCPAddr)
		g, err := rsync.Probe(t.Context(), rsync.Dest{Host: addr.IP.String(), Port: addr.Port})
		if err != nil || g.Protocol != "32.0" || len(g.MOTD) > 0 {
			t.Errorf("got %+v, %v", g, err)
		}
	}
	if args := f.initArgs(); len(args) != 6 || args[5] != "t2="+f[1].Addr().String() {
		t.Errorf("got %q", args)
	}
}

func TestRaiseWatchLimit(t *testing.T) {
	before := firstLine(watchLimit)
	restore, err := raiseWatchLimit(1)
	if err != nil {
		t.Fatal(err)
	}
	restore()
	if got := firstLine(watchLimit); got != before {
		t.Errorf("the limit was %s and is %s", before, got)
	}
	if os.Getuid() != 0 {
		if _, err := raiseWatchLimit(1 << 30); err == nil || !strings.Contains(err.Error(), "sysctl fs.inotify") {
			t.Errorf("got %v", err)
		}
	}
}
