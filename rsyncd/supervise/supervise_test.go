package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errDied = errors.New("exit status 10")

func TestStartsAndStops(t *testing.T) {
	play(t, Config{StopGrace: 7 * time.Second}, func(st *stage) {
		st.sawStates(Starting, Running)
		got := st.s.Status()
		if got.State != Running || got.PID != 100 || got.Restarts != 0 || !got.Since.Equal(time.Now()) {
			t.Errorf("got %+v", got)
		}
		st.last().dying = 3 * time.Second
		begin := time.Now()
		st.cancel()
		<-st.ended
		st.sawStates(Stopping, Stopped)
		if p := st.last(); !p.stopped || p.grace != 7*time.Second || time.Since(begin) != 3*time.Second {
			t.Errorf("Run returned after %v, process %+v", time.Since(begin), p)
		}
	})
}

func TestStartsAgainWithGrowingDelay(t *testing.T) {
	cfg := Config{Backoff: Backoff{Min: time.Second, Max: 5 * time.Second, ResetAfter: time.Minute}}
	play(t, cfg, func(st *stage) {
		for i, want := range []time.Duration{1, 2, 4, 5, 5} {
			st.die(errDied)
			got := st.s.Status()
			want *= time.Second
			wait := time.Until(got.NextTry)
			if got.State != Waiting || got.PID != 0 || wait < want || wait > want+want/4 {
				t.Errorf("failure %d: wait %v, want %v and up to a quarter: %+v", i, wait, want, got)
			}
			st.sleep(wait - time.Nanosecond)
			if n := st.starts(); n != i+1 {
				t.Fatalf("failure %d: started %d times before the delay was over", i, n)
			}
			st.sleep(time.Nanosecond)
			if got := st.s.Status(); got.State != Running || got.Restarts != i+1 || !got.NextTry.IsZero() {
				t.Fatalf("failure %d: %+v", i, got)
			}
		}
	})
}

func TestDelayShrinksAfterAGoodRun(t *testing.T) {
	cfg := Config{Backoff: Backoff{Min: time.Second, Max: time.Minute, ResetAfter: 10 * time.Second}}
	play(t, cfg, func(st *stage) {
		delay := func() time.Duration { return time.Until(st.s.Status().NextTry).Truncate(time.Second) }
		for range 3 {
			st.die(errDied)
			st.sleep(time.Minute)
		}
		st.die(errDied) // was up for less than a minute, but for more than 10 s
		if d := delay(); d != time.Second {
			t.Errorf("after a good run: %v", d)
		}
		st.sleep(2 * time.Second)
		st.sleep(8 * time.Second)
		st.die(errDied)
		if d := delay(); d != 2*time.Second {
			t.Errorf("after a short run: %v", d)
		}
	})
}

func TestStopsWhileItWaits(t *testing.T) {
	play(t, Config{}, func(st *stage) {
		st.die(errDied)
		begin := time.Now()
		st.cancel()
		<-st.ended
		if time.Since(begin) != 0 || st.starts() != 1 {
			t.Errorf("ended after %v, %d starts", time.Since(begin), st.starts())
		}
		st.sawStates(Starting, Running, Waiting, Stopped)
	})
}

func TestCannotStart(t *testing.T) {
	play(t, Config{}, func(st *stage) {
		st.failStarts(errors.New("exec format error"))
		st.die(errDied)
		st.sleep(time.Minute)
		got := st.s.Status()
		if got.State != Waiting || got.LastError != "start thing: exec format error" || st.tries < 3 {
			t.Errorf("%d tries, %+v", st.tries, got)
		}
		st.failStarts(nil)
		st.sleep(time.Minute)
		if got := st.s.Status(); got.State != Running || got.LastError != "" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestRestart(t *testing.T) {
	play(t, Config{}, func(st *stage) {
		begin := time.Now()
		st.s.Restart()
		st.s.Restart()
		synctest.Wait()
		st.sawStates(Starting, Running, Stopping, Starting, Running)
		if st.starts() != 2 || !st.process(0).stopped || time.Since(begin) != 0 {
			t.Errorf("%d starts in %v", st.starts(), time.Since(begin))
		}
		st.die(errDied)
		st.s.Restart()
		synctest.Wait()
		if got := st.s.Status(); got.State != Running || st.starts() != 3 || time.Since(begin) != 0 {
			t.Errorf("a wish ends the wait: %+v", got)
		}
		st.sleep(time.Hour)
		if st.starts() != 3 {
			t.Errorf("a wish counts once: %d starts", st.starts())
		}
	})
}

func TestReadyIsAskedUntilItIs(t *testing.T) {
	asked := 0
	cfg := Config{ReadyEvery: time.Second, Ready: func(context.Context) error {
		if asked++; asked < 4 {
			return errors.New("connection refused")
		}
		return nil
	}}
	play(t, cfg, func(st *stage) {
		st.sleep(2 * time.Second)
		st.sawStates(Starting)
		st.sleep(time.Second)
		st.sawStates(Running)
		st.sleep(time.Hour)
		if asked != 4 {
			t.Errorf("asked %d times", asked)
		}
	})
}

func TestNeverReady(t *testing.T) {
	cfg := Config{ReadyTimeout: 10 * time.Second, Ready: func(context.Context) error { return errors.New("no greeting") }}
	play(t, cfg, func(st *stage) {
		_, _ = st.s.ring.Write([]byte("some words\n"))
		st.sleep(10 * time.Second)
		st.sawStates(Starting, Stopping, Waiting)
		if got := st.s.Status(); !st.last().stopped || got.LastError != "thing is not ready after 10s: no greeting: some words" {
			t.Errorf("got %+v", got)
		}
	})
}

// A question that hangs ends with the child, whatever ends it.
func TestReadyHangs(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	play(t, Config{Ready: hang}, func(st *stage) {
		st.die(errDied)
		st.sawStates(Starting, Waiting)
		st.s.Restart()
		synctest.Wait()
		st.s.Restart()
		synctest.Wait()
		st.sawStates(Starting, Stopping, Starting)
	})
}

func TestLastWords(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("from the life before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{LogFile: log, Lines: 4, Backoff: Backoff{Min: time.Second}}
	play(t, cfg, func(st *stage) {
		fmt.Fprint(st.s.ring, "one\ntwo\r\n\nthree\nfour\nfi")
		f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, "bind() failed: Address already in use\n")
		_ = f.Close()
		st.die(errDied)
		got := st.s.Status()
		if strings.Join(got.LastLines, "|") != "three|four|fi|bind() failed: Address already in use" {
			t.Errorf("lines %q", got.LastLines)
		}
		if got.LastError != "thing ended with exit status 10: four; fi; bind() failed: Address already in use" {
			t.Errorf("error %q", got.LastError)
		}
		st.sleep(2 * time.Second)
		if got := st.s.Status(); len(got.LastLines) > 0 || got.LastError != "" {
			t.Errorf("the next life has said nothing yet: %+v", got)
		}
		st.die(nil)
		if got := st.s.Status().LastError; got != "thing ended with exit status 0" {
			t.Errorf("error %q", got)
		}
	})
}

func TestTransitionsAreLogged(t *testing.T) {
	var out bytes.Buffer
	play(t, Config{Log: slog.New(slog.NewTextHandler(&out, nil))}, func(st *stage) { st.die(errDied) })
	for _, want := range []string{
		`level=INFO msg="process state changed" process=thing from=starting to=running pid=100`,
		`level=WARN msg="process ended, it will be started again" process=thing from=running to=backoff pid=0 error="thing ended with exit status 10" delay=`,
		`to=stopped`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
}

func TestOutputOfTheCommandIsRespected(t *testing.T) {
	var mine bytes.Buffer
	cfg := Config{Command: func() *exec.Cmd { return &exec.Cmd{Stdout: &mine} }}
	cmd := New(cfg).command()
	if cmd.Stdout != &mine || cmd.Stderr == nil {
		t.Errorf("got %+v", cmd)
	}
}

func TestRingIsBounded(t *testing.T) {
	r := newRing(3)
	for range 100 {
		fmt.Fprint(r, strings.Repeat("x", 50_000))
	}
	fmt.Fprint(r, "\na\nb\nc")
	got := r.lines()
	if len(got) != 3 || strings.Join(got, "") != "abc" {
		t.Errorf("got %d lines", len(got))
	}
	if r = newRing(2); len(r.part) != 0 {
		t.Error("not empty")
	}
	fmt.Fprint(r, strings.Repeat("é", maxLine))
	if n := len(r.lines()[0]); n != maxLine {
		t.Errorf("a line of %d bytes", n)
	}
}

func TestLogTail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tail := &logTail{path: file}
	tail.mark()
	if got := tail.read(5); got != nil {
		t.Errorf("no file: %q", got)
	}
	write("old\n")
	tail.mark()
	write("old\nnew\n")
	if got := tail.read(5); strings.Join(got, "|") != "new" {
		t.Errorf("got %q", got)
	}
	write("x\n") // rotated
	if got := tail.read(5); strings.Join(got, "|") != "x" {
		t.Errorf("after a rotation: %q", got)
	}
	write(strings.Repeat("line\n", 100_000) + "end\n")
	if got := tail.read(2); strings.Join(got, "|") != "line|end" {
		t.Errorf("got %q", got)
	}
}
