package agent_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"syncagent/agent/status"
	"syncagent/rsyncd/rsyncdtest"
)

// delayed passes what it is sent on to a slave, and back, a while later.
type delayed struct {
	to    string
	each  time.Duration // one way
	conns sync.WaitGroup
	ends  chan struct{}
}

// throughDelay puts a slave behind a delay each way, and returns its new port.
func throughDelay(t *testing.T, to string, each time.Duration) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &delayed{to: to, each: each, ends: make(chan struct{})}
	d.conns.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			d.conns.Go(func() { d.carry(in) })
		}
	})
	t.Cleanup(func() {
		close(d.ends)
		l.Close()
		d.conns.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}

func (d *delayed) carry(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", d.to)
	if err != nil {
		return
	}
	defer out.Close()
	var both sync.WaitGroup
	both.Go(func() { d.pass(in, out) })
	both.Go(func() { d.pass(out, in) })
	over := make(chan struct{})
	go func() { both.Wait(); close(over) }()
	select {
	case <-over:
	case <-d.ends:
		in.Close()
		out.Close()
		<-over
	}
}

type parcel struct {
	due  time.Time
	data []byte
}

// pass carries one direction: what is read now is written later, in order.
func (d *delayed) pass(from, to net.Conn) {
	road := make(chan parcel, 10_000)
	go func() {
		defer close(road)
		for {
			data := make([]byte, 32<<10)
			n, err := from.Read(data)
			if n > 0 {
				road <- parcel{time.Now().Add(d.each), data[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	var err error
	for p := range road {
		select {
		case <-time.After(time.Until(p.due)):
		case <-d.ends:
		}
		if err == nil {
			_, err = to.Write(p.data)
		}
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the other side may be gone
	}
}

// what a slave has of the file, at the latest when it is asked.
func (l *lab) stands(slave int, name string) string {
	data, err := os.ReadFile(filepath.Join(l.slaves[slave].Path("data"), name))
	if err != nil {
		return ""
	}
	return string(data)
}

// From when the agent knows of a change until a slave behind a real delay has it, every
// figure says so and none too little; the slave beside it has figures of its own.
func TestLagIsTrueOverARealDelay(t *testing.T) {
	rsyncdtest.NoLeaks(t)
	const each, rounds = 100 * time.Millisecond, 3
	l := newLab(t, 2, "")
	l.slaves[0].Port = throughDelay(t, l.slaves[0].Addr, each)
	l.start()
	longest, aloneBehind := time.Duration(0), 0
	for round := range rounds {
		l.inSync()
		text := fmt.Sprintf("round %d\n", round)
		begun := time.Now()
		l.write("page", text)
		for told := [2]time.Time{}; ; <-time.After(time.Millisecond) {
			asked := time.Now()
			m := l.status()
			answered := time.Now()
			slow, near := m.Targets[0], m.Targets[1]
			for i, s := range m.Targets {
				if told[i].IsZero() && s.Pending > 0 {
					told[i] = answered
				}
				l.holdTo(s, i, text, begun, told[i], asked, answered)
			}
			longest = max(longest, time.Duration(slow.Lag*float64(time.Second)))
			if slow.Lag > 0 && near.Lag == 0 && near.InSyncAsOf.After(begun) && l.stands(1, "page") == text {
				aloneBehind++
			}
			if !told[0].IsZero() && slow.Lag == 0 && near.Lag == 0 {
				break
			}
		}
	}
	if longest < each || aloneBehind == 0 {
		t.Errorf("the longest lag was %v with a delay of %v each way; the other slave was ahead in %d answers", longest, each, aloneBehind)
	}

	l.write("page", "waited for\n")
	l.must(l.master.Wait(context.Background(), status.Scope{}, func(status.WaitUpdate) {}))
	for i := range l.slaves {
		if got := l.stands(i, "page"); got != "waited for\n" {
			t.Errorf("a wait returned and slave %d has %q", i+1, got)
		}
	}
}

// holdTo compares a target's figures with what its slave has. begun is before the
// change, told when the agent knew of it at the latest, zero while it may not.
func (l *lab) holdTo(s status.Target, slave int, text string, begun, told, asked, answered time.Time) {
	l.t.Helper()
	lacks := l.stands(slave, "page") != text // then it did when it was asked, too
	if told.IsZero() {
		return
	}
	lag, oldest := time.Duration(s.Lag*float64(time.Second)), time.Duration(s.OldestPending*float64(time.Second))
	least, most := asked.Sub(told), answered.Sub(begun)
	const float = time.Microsecond // what seconds in a float64 lose
	switch {
	case lacks && (s.Pending == 0 || s.Lag == 0 || s.OldestPending == 0 || s.InSyncAsOf.After(told)):
		l.t.Errorf("slave %d lacks the change, and status says %+v", slave+1, s)
	case lacks && (lag < least-float || oldest < least-float):
		l.t.Errorf("slave %d: lag %v, oldest pending %v, and the change is known for %v", slave+1, lag, oldest, least)
	case lag > most+float || oldest > most+float || s.InSyncAsOf.Before(begun):
		l.t.Errorf("slave %d: lag %v, oldest pending %v, in sync as of %v before the change, which is %v old", slave+1, lag, oldest, begun.Sub(s.InSyncAsOf.Time), most)
	}
}
