package main

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestField(t *testing.T) {
	text := []byte("Name:\tx\nVmRSS:\t    5120 kB\nnonvoluntary_ctxt_switches:\t9\nvoluntary_ctxt_switches:\t7\n")
	for name, want := range map[string]int64{"VmRSS": 5120, "voluntary_ctxt_switches": 7} {
		if got, err := field(text, name); got != want || err != nil {
			t.Errorf("%s: got %d, %v, want %d", name, got, err, want)
		}
	}
	if _, err := field(text, "VmHWM"); err == nil {
		t.Error("a field that is missing must be an error")
	}
}

func TestParseLoopback(t *testing.T) {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
  eth0:  1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
    lo:712636938  277696    0    0    0     0          0         0 712636939  277696    0    0    0     0       0          0
`
	if got, err := parseLoopback(text); got != 712636939 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	if _, err := parseLoopback("eth0: 1 2 3 4 5 6 7 8 9"); err == nil {
		t.Error("no loopback interface must be an error")
	}
}

// A process that sleeps is woken and uses processor time only when it starts.
func TestProcessFigures(t *testing.T) {
	mb, err := memory(os.Getpid())
	if err != nil || mb < 1 || mb > 10_000 {
		t.Errorf("our memory is %v MB, %v", mb, err)
	}
	busy, err := cpuTime(os.Getpid())
	if err != nil || busy <= 0 {
		t.Errorf("our processor time is %v, %v", busy, err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if idle, err := cpuTime(cmd.Process.Pid); err != nil || idle > time.Second {
		t.Errorf("a sleeping process used %v, %v", idle, err)
	}
	if _, err := wakeups(cmd.Process.Pid); err != nil {
		t.Error(err)
	}
	const nobody = 1 << 30
	if _, err := wakeups(nobody); err == nil {
		t.Error("a process that is not there must be an error")
	}
	if _, err := cpuTime(1<<22 + 1); err == nil {
		t.Error("a process that is not there must be an error")
	}
}
