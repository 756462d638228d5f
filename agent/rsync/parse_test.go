package rsync

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"syncagent/agent/tree"
)

func TestParseItem(t *testing.T) {
	for _, tt := range []struct {
		line  string
		want  item
		sent  bool
		equal bool
	}{
		{"<f+++++++++|a/b|12", item{"<f+++++++++", "a/b", false, 12}, true, false},
		{"<f.........|a/b|12", item{"<f.........", "a/b", false, 12}, true, false},
		{".f         |a|b||0", item{".f         ", "a|b|", false, 0}, false, true},
		{"hf         |g|3", item{"hf         ", "g", false, 3}, false, true},
		{".d         |./|60", item{".d         ", "", true, 60}, false, true},
		{".d..t......|d/|60", item{".d..t......", "d", true, 60}, false, false},
		{"cL+++++++++|l|1", item{"cL+++++++++", "l", false, 1}, false, false},
		{"cD+++++++++|dev|0", item{"cD+++++++++", "dev", false, 0}, false, false},
		{"*deleting  |a/old/|0", item{"*deleting  ", "a/old", true, 0}, false, false},
		{`<f+++++++++|l1\#012n \#134#012|0`, item{"<f+++++++++", "l1\nn \\#012", false, 0}, true, false},
		{`<f+++++++++|\#377|0`, item{"<f+++++++++", "\xff", false, 0}, true, false},
	} {
		got, ok := parseItem(tt.line)
		if !ok || got != tt.want || got.sent() != tt.sent || got.equal() != tt.equal {
			t.Errorf("%q: %+v, %v, sent %v, equal %v", tt.line, got, ok, got.sent(), got.equal())
		}
	}
	for _, line := range []string{
		"", "cannot delete non-empty directory: w/keep", "<f+++++++++|a/b", "<f+++++++++|a/b|x", "<f+++++++++|../x|1", "<f+++++++++|/x|1",
		"<f+++++++++||1", "xf+++++++++|a|1", "<q+++++++++|a|1", "Number of files: 3", "<f++++++++|a|1", "<f+++++++++|a//b|1",
	} {
		if got, ok := parseItem(line); ok {
			t.Errorf("%q is taken for %+v", line, got)
		}
	}
}

func FuzzParseItem(f *testing.F) {
	f.Add("<f+++++++++|a/b|12")
	f.Add(`*deleting  |\#012/|0`)
	f.Fuzz(func(t *testing.T, line string) {
		it, ok := parseItem(line)
		if !ok {
			return
		}
		if _, err := tree.ParsePath(string(it.path)); err != nil {
			t.Errorf("%q: path %q: %v", line, it.path, err)
		}
		_, _, _ = it.created(), it.equal(), it.sent()
	})
}

// escape writes a name as rsync does in the C locale.
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		_, literal := octal(name[i:])
		if c < 0x20 || c >= 0x7f || literal {
			fmt.Fprintf(&b, `\#%03o`, c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

func TestUnescapeUndoesEscape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		if rapid.Bool().Draw(t, "tricky") {
			name = rapid.StringMatching(`[\\#0-9a]{0,12}`).Draw(t, "name")
		}
		if got := unescape(escape(name)); got != name {
			t.Fatalf("%q becomes %q by %q", name, got, escape(name))
		}
	})
}

func TestParseComplaint(t *testing.T) {
	d := Dest{Module: "m", Dir: "/sub/"}
	for _, tt := range []struct {
		line  string
		path  tree.Path
		what  tree.What
		class Class
		soft  bool
	}{
		{`rsync: [sender] send_files failed to open "/proc/self/fd/3/sec": Permission denied (13)`, "sec", tree.Content, Partial, false},
		{`rsync: [sender] link_stat "/proc/self/fd/3/a/none/x" failed: No such file or directory (2)`, "a/none/x", tree.Content, Transient, false},
		{`rsync: [sender] opendir "/proc/self/fd/3/priv" failed: Permission denied (13)`, "priv", tree.Content, Partial, false},
		{`rsync: [sender] read errors mapping "/proc/self/fd/3/d/big": Input/output error (5)`, "d/big", tree.Content, Partial, false},
		{`rsync: [receiver] mkstemp "/sub/d/.s1.uw6hM5" (in nob) failed: Permission denied (13)`, "d/s1", tree.Content, Partial, false},
		{`rsync: [receiver] mkstemp "/sub/d/.we\#012ird \#134#012 "q" x.hPVaI4" (in nob) failed: Permission denied (13)`, "d/we\nird \\#012 \"q\" x", tree.Content, Partial, false},
		{`rsync: [receiver] mkstemp "/sub/.s3.uw6hM5" (in m) failed: No space left on device (28)`, "s3", tree.Content, DiskFull, false},
		{`rsync: [receiver] write failed on "/sub/d/big" (in full): No space left on device (28)`, "d/big", tree.Content, DiskFull, false},
		{`rsync: [receiver] rename "/sub/d/.s3.GcFIwV" (in imm) -> "d/s3": Operation not permitted (1)`, "d/s3", tree.Content, Partial, false},
		{`rsync: [generator] recv_generator: mkdir "/sub/d" (in rom) failed: Read-only file system (30)`, "d", tree.Content, ReadOnly, false},
		{`rsync: [generator] failed to set times on "/sub/d" (in nob): Operation not permitted (1)`, "d", tree.Attrs, Partial, false},
		{`rsync: [receiver] chown "/sub/d/.f.AbC123" (in nob) failed: Operation not permitted (1)`, "d/f", tree.Attrs, Partial, false},
		{`rsync: [generator] delete_file: unlink(n/q/f) failed: Operation not permitted (1)`, "n/q/f", tree.Content, Partial, false},
		{`could not make way for new regular file: a/f`, "a/f", tree.Content | tree.Deep, Partial, true},
		{`cannot delete non-empty directory: w/keep`, "w/keep", tree.Content | tree.Deep, Partial, true},
		{`ERROR: daemon refused to receive file "d/a.key"`, "d/a.key", tree.Content, Partial, false},
		{`file has vanished: "/proc/self/fd/3/p"`, "p", tree.Content, Transient, true},
		{`directory has vanished: "/proc/self/fd/3/p/q"`, "p/q", tree.Content, Transient, true},
		{`WARNING: d/f failed verification -- update discarded (will try again).`, "d/f", tree.Content, Transient, true},
		{`ERROR: d/f failed verification -- update discarded.`, "d/f", tree.Content, Transient, false},
		{`WARNING: parent dir is absent in the file list: p/c`, "p/c", tree.Content, Transient, true},
		{`filename overflows max-path len by 1: d/file`, "d/file", tree.Content, Usage, false},
	} {
		e, kind := parseComplaint(tt.line, d)
		if kind != linePath || e.Path != tt.path || e.What != tt.what || e.Class != tt.class || e.Soft != tt.soft {
			t.Errorf("%q: %+v, kind %d", tt.line, e, kind)
		}
	}
	for line, want := range map[string]lineKind{
		"": lineNoise,
		"rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394) [sender=3.5.0]": lineNoise,
		"rsync warning: some files vanished before they could be transferred (code 24) at main.c(1394) [sender=3.5.0]":      lineNoise,
		"*** Skipping any contents from this failed directory ***":                                                          lineNoise,
		"created directory no1":                                                               lineNoise,
		"IO error encountered -- skipping file deletion":                                      lineNoExtras,
		"Deletions stopped due to --max-delete limit (4 skipped)":                             lineLimit,
		"@ERROR: auth failed on module m":                                                     lineOdd,
		"rsync: [sender] read error: Connection reset by peer (104)":                          lineOdd,
		`rsync: [receiver] mkstemp "/other/.s1.uw6hM5" (in m) failed: Permission denied (13)`: lineOdd, // not below Dir
		`cannot delete non-empty directory: ../x`:                                             lineOdd,
		"anything else": lineOdd,
	} {
		if e, kind := parseComplaint(line, d); kind != want {
			t.Errorf("%q: %+v, kind %d, want %d", line, e, kind, want)
		}
	}
}

func FuzzParseComplaint(f *testing.F) {
	f.Add(`rsync: [receiver] rename "/d/.s3.GcFIwV" (in imm) -> "d/s3": Operation not permitted (1)`)
	f.Add(`file has vanished: "/proc/self/fd/3/p"`)
	f.Fuzz(func(t *testing.T, line string) {
		e, kind := parseComplaint(line, Dest{Module: "m"})
		if kind != linePath {
			return
		}
		if _, err := tree.ParsePath(string(e.Path)); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		if e.Class == 0 || e.What == 0 || len(e.Text) > 512 {
			t.Errorf("%q: %+v", line, e)
		}
	})
}

// TestClassifySSHByTimeOrCode: rsync ends with the code of its ssh, or with its
// own when it saw the connection end first.
func TestClassifySSHByTimeOrCode(t *testing.T) {
	const tail = "rsync: connection unexpectedly closed (0 bytes received so far) [sender]\n"
	for _, code := range []int{255, 12} {
		for text, hint := range map[string]string{
			"ssh: connect to host 127.0.0.1 port 41223: Connection refused\n":   "ssh server running",
			"ssh: connect to host 127.0.0.1 port 41223: Connection timed out\n": "firewall",
		} {
			if e := Classify(code, text+tail); e.Class != Transient || !strings.Contains(e.Hint, hint) {
				t.Errorf("%d %q: %v, %q", code, text, e.Class, e.Hint)
			}
		}
	}
}

// Every row was written by rsync 3.5.0, but for the one of 3.4.3.
func TestClassify(t *testing.T) {
	const start = "rsync error: error starting client-server protocol (code 5) at main.c(1954) [sender=3.5.0]\n"
	for _, tt := range []struct {
		code   int
		stderr string
		want   Class
	}{
		{1, "ERROR: module is read only\nrsync error: syntax or usage error (code 1) at main.c(1185) [Receiver=3.5.0]\nrsync: [sender] read error: Connection reset by peer (104)\n", ReadOnly},
		{1, "ERROR: password file must not be other-accessible\nrsync error: syntax or usage error (code 1) at authenticate.c(261) [sender=3.5.0]\n", Auth},
		{1, "rsync: [sender] could not open password file nopw: No such file or directory (2)\nrsync error: syntax or usage error (code 1) at authenticate.c(247) [sender=3.5.0]\n", Auth},
		{1, "rsync: --frob: unknown option\nrsync error: syntax or usage error (code 1) at main.c(1) [client=3.5.0]\n", Usage},
		{2, "invalid file mode 00 for gone [Receiver]\nrsync error: protocol incompatibility (code 2) at flist.c(1206) [Receiver=3.5.0]\n", Incompatible},
		{2, "protocol version mismatch -- is your shell clean?\n(see the rsync manpage for an explanation)\n", Incompatible},
		{3, "rsync: [sender] change_dir \"/proc/self/fd/99/\" failed: No such file or directory (2)\nrsync error: errors selecting input/output files, dirs (code 3) at flist.c(2791) [sender=3.5.0]\n", SourceGone},
		{4, "rsync: The server is configured to refuse --delete\nrsync error: requested action not supported (code 4) at clientserver.c(1267) [Receiver=3.5.0]\n", Incompatible},
		{4, "pre-xfer exec returned failure (256)\nrsync error: requested action not supported (code 4) at clientserver.c(1267) [Receiver=3.5.0]\n", Transient},
		{5, "Password: @ERROR: auth failed on module auth\n" + start, Auth},
		{255, "No ED25519 host key is known for [127.0.0.1]:2299 and you have requested strict checking.\nHost key verification failed.\nrsync: connection unexpectedly closed (0 bytes received so far) [sender]\n", Refused},
		{255, "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.\n", Refused},
		{255, "root@127.0.0.1: Permission denied (publickey,password,keyboard-interactive).\nrsync: connection unexpectedly closed (0 bytes received so far) [sender]\n", Auth},
		{255, "ssh: connect to host 127.0.0.1 port 2298: Connection refused\n", Transient},
		{127, "sh: 1: rsync: not found\n", Incompatible},
		{12, "bash: line 1: rsync: command not found\nrsync: connection unexpectedly closed (0 bytes received so far) [sender]\n", Incompatible},
		{23, "rsync: [receiver] mkstemp \"/d/.x.0123ab\" failed: Permission denied (13)\n", Partial},
		{5, "@ERROR: Unknown module 'nosuch'\n" + start, Refused},
		{5, "@ERROR: access denied to deny from UNDETERMINED (127.0.0.1)\n" + start, Refused},
		{5, "@ERROR: chroot failed\n" + start, Refused},
		{5, "@ERROR: invalid uid nosuchuser\n" + start, Refused},
		{5, "@ERROR: max connections (2) reached -- try again later\n" + start, Transient},
		{5, "@ERROR: failed to open lock file\n" + start, Transient},
		{5, "rsync: did not see server greeting\n" + start, Transient},
		{5, "rsync: server sent \"HTTP/1.1 400 Bad Request\" rather than greeting\n" + start, Incompatible},
		{5, "rsync: the server omitted the digest name list: @RSYNCD: 99.0\n" + start, Incompatible},
		{10, "rsync: [sender] failed to connect to 127.0.0.1 (127.0.0.1): Connection refused (111)\nrsync error: error in socket IO (code 10) at clientserver.c(165) [sender=3.5.0]\n", Transient},
		{10, "rsync: getaddrinfo: nosuch.invalid 873: Name or service not known\nrsync error: error in socket IO (code 10) at clientserver.c(165) [sender=3.5.0]\n", Transient},
		{11, "rsync: [receiver] write failed on \"/d/big\" (in full): No space left on device (28)\nrsync error: error in file IO (code 11) at receiver.c(657) [receiver=3.5.0]\n", DiskFull},
		{11, "rsync: [Receiver] mkdir \"no/such\" (in plain) failed: No such file or directory (2)\nrsync error: error in file IO (code 11) at main.c(808) [Receiver=3.5.0]\n", Refused},
		{11, "rsync: [receiver] fsync failed on \"/d/f\" (in m): Input/output error (5)\n", Transient},
		{12, "rsync: [sender] safe_read failed to read 1 bytes: Connection reset by peer (104)\nrsync error: error in rsync protocol data stream (code 12) at io.c(340) [sender=3.5.0]\n", Transient},
		{20, "rsync error: received SIGINT, SIGTERM, or SIGHUP (code 20) at rsync.c(1) [sender=3.5.0]\n", Transient},
		{23, "rsync: [sender] send_files failed to open \"/x/auth failed on module\": Permission denied (13)\n", Partial},
		{24, "file has vanished: \"/proc/self/fd/3/p\"\n", Partial},
		{30, "rsync error: timeout in data send/receive (code 30) at io.c(1) [sender=3.5.0]\n", Transient},
		{35, "rsync error: timeout waiting for daemon connection (code 35) at socket.c(1) [sender=3.5.0]\n", Transient},
		{127, "", Incompatible},
		{-1, "", Transient},
		{139, "", Transient},
		{0, "cannot delete non-empty directory: x\n", Partial},
	} {
		e := Classify(tt.code, tt.stderr)
		if e == nil || e.Class != tt.want || e.Code != tt.code {
			t.Errorf("%d %q: %+v, want %v", tt.code, tt.stderr, e, tt.want)
			continue
		}
		if e.Class.Blocked() && e.Hint == "" {
			t.Errorf("%d %q: no hint", tt.code, tt.stderr)
		}
	}
	if e := Classify(0, " \n"); e != nil {
		t.Errorf("clean end: %v", e)
	}
	long := Classify(23, strings.Repeat("x", 1<<20)+"\n"+strings.Repeat("y\n", 1<<16))
	if len(long.Text) > maxText {
		t.Errorf("text of %d bytes", len(long.Text))
	}
}

func FuzzClassify(f *testing.F) {
	f.Add(5, "@ERROR: auth failed on module m\n")
	f.Add(0, "")
	f.Fuzz(func(t *testing.T, code int, stderr string) {
		e := Classify(code, stderr)
		if (e == nil) != (code == 0 && strings.TrimSpace(stderr) == "") {
			t.Fatalf("%d %q: %v", code, stderr, e)
		}
		if e == nil {
			return
		}
		if e.Class == 0 || len(e.Text) > maxText || strings.ContainsFunc(e.Error(), unicode.IsControl) {
			t.Errorf("%+v", e)
		}
	})
}

func TestClassNames(t *testing.T) {
	seen := map[string]bool{"": true}
	for c := Transient; c <= SourceGone; c++ {
		if seen[c.String()] {
			t.Errorf("class %d is called %q", c, c)
		}
		seen[c.String()] = true
		if want := c != Transient && c != Partial; c.Blocked() != want {
			t.Errorf("%v: blocked %v", c, c.Blocked())
		}
	}
	if Class(0).Blocked() || Class(99).Blocked() || Class(99).String() == "" {
		t.Error("unknown classes")
	}
}

func TestArgs(t *testing.T) {
	c := New(Config{
		Dest: Dest{Host: "::1", Port: 8730, Module: "Blog", Dir: "a b/[x]", User: "repl", PasswordFile: "/etc/pass"},
		Options: Options{
			Filter: []string{"- *.tmp", "--filter=+ /x"}, Compress: "zstd", Bwlimit: "10M", Xattrs: true, ACLs: true,
			HardLinks: true, NumericIDs: true, Extra: []string{"--sparse"}, Timeout: 1500 * time.Millisecond,
		},
	})
	const base = "--sparse -a -ii --modify-window=-1 --files-from=- --from0 --out-format=%i|%n|%l "
	const opts = " --sockopts=TCP_NODELAY --no-motd --contimeout=10 --password-file=/etc/pass --compress --compress-choice=zstd --bwlimit=10M --xattrs --acls --hard-links --numeric-ids"
	const end = ` /proc/self/fd/3/ rsync://repl@[::1]:8730/Blog/a b/\[x\]/`
	for _, tt := range []struct {
		mode mode
		want string
	}{
		{mode{}, "--timeout=2" + opts},
		{mode{again: true, force: true, gone: true, maxDelete: 7}, "--timeout=2" + opts + " -I --force --delete-missing-args --max-delete=7"},
		{mode{deep: true}, "--timeout=2" + opts + " -r --filter=- *.tmp --filter=+ /x"},
		{compareMode(false), "--timeout=2" + opts + " -n -r --delete --filter=- *.tmp --filter=+ /x"},
		{compareMode(true), "--timeout=30" + opts + " -n -c -r --delete --filter=- *.tmp --filter=+ /x"},
		{mode{deep: true, extras: true}, "--timeout=2" + opts + " -r --filter=- *.tmp --filter=+ /x"}, // never --delete when it writes
	} {
		if got := strings.Join(c.args(tt.mode), " "); got != base+tt.want+end {
			t.Errorf("%+v:\n got %s\nwant %s", tt.mode, got, base+tt.want+end)
		}
	}
	bare := New(Config{Dest: Dest{Host: "h", Module: "m"}})
	got := bare.args(mode{})
	if !slices.Contains(got, "--password-file=/dev/null") || got[len(got)-1] != "rsync://h:873/m/" || !slices.Contains(got, "--timeout=60") {
		t.Errorf("defaults: %q", got)
	}
}

func TestNewList(t *testing.T) {
	got := string(newList([]tree.Path{"b", "a/b"}, []tree.Path{"a.b", "#x", "a", "b"}))
	if want := "/#x\x00/a\x00/a/b\x00/a.b\x00/b\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := string(newList([]tree.Path{tree.Root})); got != "/\x00" {
		t.Errorf("root: %q", got)
	}
}

func TestTopmost(t *testing.T) {
	got := topmost([]tree.Path{"a/b", "ab", "a", "a/b/c", "b/x", "b/xy"})
	if want := []tree.Path{"a", "ab", "b/x", "b/xy"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := topmost([]tree.Path{"a", tree.Root}); !slices.Equal(got, []tree.Path{tree.Root}) {
		t.Errorf("root: %q", got)
	}
}

// However the bytes arrive, the lines are the same and memory stays bounded.
func TestLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab\n]{0,60}`).Draw(t, "text")
		var got []string
		l := &lines{line: func(b []byte) { got = append(got, string(b)) }, long: func() {}, read: new(atomic.Int64)}
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			_, _ = l.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		l.flush()
		want := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
		if !slices.Equal(got, want) {
			t.Fatalf("%q: got %q", text, got)
		}
	})
	var short, long int
	l := &lines{line: func([]byte) { short++ }, long: func() { long++ }, read: new(atomic.Int64)}
	for range 100 {
		_, _ = l.Write(make([]byte, maxLine))
	}
	_, _ = l.Write([]byte("\nshort\n"))
	if long != 1 || short != 1 || cap(l.rest) > 4*maxLine {
		t.Errorf("%d long, %d short, %d bytes kept", long, short, cap(l.rest))
	}
}

func TestTail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := tail{max: 8}
		var all string
		for _, s := range rapid.SliceOf(rapid.StringMatching(`[a-z]{0,12}`)).Draw(t, "writes") {
			_, _ = b.Write([]byte(s))
			all += s
		}
		want := all
		if len(all) > 16 {
			want = all[:8] + all[len(all)-8:]
		}
		if b.String() != want {
			t.Fatalf("%q: got %q", all, b.String())
		}
	})
}

func TestProgress(t *testing.T) {
	start := time.Unix(0, 0)
	p := progress{limit: 10 * time.Second, last: start}
	for _, tt := range []struct {
		second          int
		output, traffic int64
		stalled         bool
	}{
		{1, 0, 5000, false},
		{9, 0, 5004, false},  // keep-alives alone
		{11, 0, 5008, true},  // do not count
		{12, 1, 5008, false}, // output does
		{21, 1, 6031, false},
		{22, 1, 6031, true},
		{23, 1, 6032, false}, // and so does real traffic
	} {
		if got := p.stalled(start.Add(time.Duration(tt.second)*time.Second), tt.output, tt.traffic); got != tt.stalled {
			t.Errorf("%+v: got %v", tt, got)
		}
	}
}

func TestOlder(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"3.2.7", "3.5.0", true},
		{"3.5.0", "3.5.0", false},
		{"3.10.0", "3.9.9", false},
		{"3.9.9", "3.10.0", true},
		{"3.5", "3.5.0", false},
		{"3.5", "3.5.1", true},
		{"3.5.0pre1", "3.5.0", true},
		{"3.5.0", "3.5.0pre1", false},
		{"3.5.0pre1", "3.5.0pre2", true},
		{"v3.4.0", "3.4.1", true},
		{"", "3.1.3", true},
	} {
		if got := Older(tt.a, tt.b); got != tt.want {
			t.Errorf("Older(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"a\nb\tc\x1b[1m\xff": "a b c?[1m?", "  x ": "x", "ä€": "ä€", "": "",
		`"\#347\#233\#256/\#303\#244\#012b"`: `"目/ä\#012b"`, `\#377\#303x\#347\#233`: `\#377\#303x\#347\#233`, `\#134#347\#233\#256`: `\#134#347\#233\#256`,
	} {
		if got := printable(in, 100); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	if got := printable("ää", 3); got != "ä" {
		t.Errorf("cut in a letter: %q", got)
	}
}
