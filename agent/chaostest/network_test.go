package chaostest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func networkCases() []faultCase {
	return []faultCase{
		{
			name: "link_down", slaves: 2,
			says: "the link to one slave is down for a minute",
			fault: func(w *world) {
				w.outage(time.Minute, w.slaves[0].cut)
			},
			heal:  func(w *world) { w.slaves[0].mend() },
			bound: 3 * time.Minute,
		},
		{
			name: "link_flaps", short: true, slaves: 2,
			says: "the link to one slave goes down and up 20 times at random moments",
			fault: func(w *world) {
				for range rounds(20, 4) {
					w.slaves[0].cut()
					w.letPass(time.Second)
					w.slaves[0].mend()
					w.letPass(2 * time.Second)
				}
			},
			bound: 3 * time.Minute,
		},
		{
			name: "answers_dropped", slaves: 2,
			says: "one slave hears the master for half a minute and cannot answer",
			fault: func(w *world) {
				w.outage(30*time.Second, func() { w.slaves[0].deafTo(w.master) })
			},
			heal:  func(w *world) { w.slaves[0].hearing(w.master) },
			bound: 3 * time.Minute,
		},
		{
			name: "connections_refused", slaves: 2,
			says: "nobody listens on one slave for half a minute",
			fault: func(w *world) {
				w.outage(time.Duration(rounds(30, 3))*time.Second, func() { w.slaves[0].stopReceiver(w) })
			},
			heal: func(w *world) { w.slaves[0].startReceiver(w) },
		},
		{
			name: "late_and_lossy", slaves: 2,
			says: "one slave is 100 ms away and every tenth frame is lost, for half a minute; the other keeps up",
			fault: func(w *world) {
				wire := w.slaves[0].newWire()
				wire.delay.Store(int64(50 * time.Millisecond))
				wire.loss.Store(100)
				w.arrives(20*time.Second, 1)
				pause(30 * time.Second)
				wire.loss.Store(0)
			},
			bound: 4 * time.Minute,
		},
		{
			name: "one_slow_of_ten", slaves: 10,
			says: "one of ten slaves gets 256 kbit/s while 20 MB change; each of the others keeps up",
			fault: func(w *world) {
				w.slaves[0].shape("rate 256kbit burst 32kbit latency 2s")
				for i := range 20 {
					w.file(fmt.Sprintf("mega%d", i), 1<<20)
				}
				for i := 1; i < len(w.slaves); i++ {
					w.arrives(time.Minute, i)
				}
			},
			heal:  func(w *world) { w.slaves[0].unshape() },
			bound: 4 * time.Minute,
		},
		{
			name: "hangs_after_greeting", slaves: 2, quiet: true,
			says: "in place of one slave's daemon somebody greets and then says nothing, for 40 s",
			fault: func(w *world) {
				w.slaves[0].stopReceiver(w)
				w.standIn("@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n", 40*time.Second)
			},
			heal:  func(w *world) { w.slaves[0].startReceiver(w) },
			bound: 3 * time.Minute,
		},
		{
			name: "odd_peers", slaves: 2, quiet: true,
			says: "in place of one slave's daemon come a web server, sshd, silence, protocol 99, and 10 MB of greeting",
			fault: func(w *world) {
				w.slaves[0].stopReceiver(w)
				for _, says := range []string{
					"HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "", "@RSYNCD: 99.0\n@ERROR: no\n", "@RSYNCD: 20.0\n",
					"@RSYNCD: 32.0 md5\n" + strings.Repeat("come in\n", 10<<20/8),
				} {
					w.standIn(says, 8*time.Second)
				}
			},
			heal:  func(w *world) { w.slaves[0].startReceiver(w) },
			bound: 6 * time.Minute, // the pauses have grown with the outage
		},
	}
}

func refusalCases() []faultCase {
	return []faultCase{
		{
			name: "password_changed", short: true, slaves: 2,
			says:  "one slave's password is another one, then the right one again",
			fault: func(w *world) { w.refusal("auth", func() { w.secrets("secret", "other") }) },
			heal:  func(w *world) { w.secrets("other", "secret") },
		},
		{
			name: "secrets_open", slaves: 2,
			says: "everybody may read one slave's secrets file, then nobody but its owner",
			fault: func(w *world) {
				w.refusal("auth", func() { w.must(os.Chmod(w.slaves[0].secretsFile(), 0o644)) })
			},
			heal: func(w *world) { w.must(os.Chmod(w.slaves[0].secretsFile(), 0o600)) },
		},
		{
			name: "module_renamed", slaves: 2,
			says: "one slave calls its module something else, then by its name again",
			fault: func(w *world) {
				w.refusal("refused", func() { w.slaves[0].reconfigure(w, "  data: ", "  other: ") })
			},
			heal: func(w *world) { w.slaves[0].reconfigure(w, "  other: ", "  data: ") },
		},
		{
			name: "master_not_allowed", slaves: 2,
			says: "one slave lets in another address only, then the master again",
			fault: func(w *world) {
				w.refusal("refused", func() {
					w.slaves[0].reconfigure(w, "allow: ["+w.master.addr+"]", "allow: [192.0.2.1]")
				})
			},
			heal: func(w *world) { w.slaves[0].reconfigure(w, "allow: [192.0.2.1]", "allow: ["+w.master.addr+"]") },
		},
		{
			name: "module_not_writable", slaves: 2,
			says: "one slave's module is configured as read only, then not",
			fault: func(w *world) {
				w.refusal("read_only", func() { w.slaves[0].reconfigure(w, "data: {", "data: {read_only: true, ") })
			},
			heal: func(w *world) { w.slaves[0].reconfigure(w, "read_only: true, ", "") },
		},
		{
			name: "connections_taken", slaves: 2,
			says: "others hold all connections that one slave admits, then leave",
			fault: func(w *world) {
				w.takeAll(w.slaves[1], 3)
			},
			heal: func(w *world) { w.letGo() },
		},
	}
}

// outage makes a slave unreachable for a time, in which the other one gets
// what changes and status says what the first one lacks.
func (w *world) outage(d time.Duration, begin func()) {
	w.Helper()
	begin()
	w.file("during-outage", 100)
	w.lacks("s1")
	w.arrives(30*time.Second, 1)
	pause(d)
	w.has("s1")
}

// refusal makes a slave refuse the master. Sessions that were let in before, or
// at that moment, are none of its business.
func (w *world) refusal(class string, begin func()) {
	w.Helper()
	begin()
	signalAll(w.slaves[0].sessions(), syscall.SIGKILL)
	w.file("refused", 100)
	w.eventually(time.Minute, func() error { // until one that was let in late has taken what it could
		signalAll(w.slaves[0].sessions(), syscall.SIGKILL)
		return w.hasClass("s1", class)
	})
	w.file("refused-too", 100)
	w.lacks("s1")
	w.arrives(30*time.Second, 1)
	pause(3 * time.Second)
	w.has("s1")
}

func (s *slave) secretsFile() string { return filepath.Join(s.dir, "rsyncd.secrets") }

func (w *world) secrets(was, is string) {
	w.Helper()
	w.slaves[0].replace(w, w.slaves[0].secretsFile(), "repl:"+was, "repl:"+is)
}

// standIn serves the first slave's port with a text and then silence.
func (w *world) standIn(says string, d time.Duration) {
	w.Helper()
	end := make(chan struct{})
	stop := w.slaves[0].listen("873", func(c net.Conn) {
		_, _ = c.Write([]byte(says))
		<-end
	})
	w.file("during-stand-in", 100)
	w.lacks("s1")
	w.arrives(30*time.Second, 1)
	pause(d)
	w.has("s1")
	close(end)
	stop()
}

// takeAll has another host hold all connections of the first slave's module.
func (w *world) takeAll(other *slave, n int) {
	w.Helper()
	s := w.slaves[0]
	s.reconfigure(w, "allow: ["+w.master.addr+"]", "allow: ["+w.master.addr+", "+other.addr+"]\nmax_connections: "+fmt.Sprint(n))
	w.master.cut()
	signalAll(s.sessions(), syscall.SIGKILL)
	for range n {
		_, release := w.hog(other.host, s)
		w.hogs = append(w.hogs, release)
	}
	w.Cleanup(w.letGo)
	w.eventually(time.Minute, func() error {
		if got := len(s.sessions()); got < n {
			return fmt.Errorf("%d sessions", got)
		}
		return nil
	})
	w.master.mend()
	w.file("no-place", 100)
	w.lacks("s1")
	w.shows(2*time.Minute, "s1", "max connections", func(t target) bool { return strings.Contains(t.LastError, "max connections") })
	w.arrives(time.Minute, 1)
	w.has("s1")
}

func (w *world) letGo() {
	for _, release := range w.hogs {
		release()
	}
	w.hogs = nil
}
