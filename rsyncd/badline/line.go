package badline

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// State is how a line is.
type State int

const (
	Good     State = iota
	Slow           // SlowRate each way
	Flapping       // Good and Dead in turn, FlapTime each
	Silent         // takes connections and never says a word
	Dead           // nobody listens
	Crowded        // answers as a daemon with all its connections taken
)

const (
	// SlowRate is in bytes a second.
	SlowRate = 1024
	// FlapTime is how long a flapping line stays as it is.
	FlapTime = time.Second
	// slowPiece is how much a slow line passes on at a time, in bytes.
	slowPiece = 128

	greeting = "@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n"
	crowded  = "@ERROR: max connections (1) reached -- try again later\n"
)

// Line listens at Addr and passes on to a daemon.
type Line struct {
	Addr string // host:port

	to   string
	quit chan struct{}
	all  sync.WaitGroup

	mu    sync.Mutex
	state State
	l     net.Listener // nil while nobody listens
	conns map[net.Conn]bool
	turn  chan struct{} // closed when the state is another one
}

// Listen starts a good line from a free port of a host to a daemon.
func Listen(host, to string) (*Line, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("listen for a line: %w", err)
	}
	n := &Line{Addr: l.Addr().String(), to: to, quit: make(chan struct{}), conns: map[net.Conn]bool{}, turn: make(chan struct{})}
	n.serve(l)
	return n, nil
}

// Set changes how the line is. What is connected is cut.
func (n *Line) Set(s State) error {
	n.mu.Lock()
	close(n.turn)
	n.turn, n.state = make(chan struct{}), s
	turn := n.turn
	n.mu.Unlock()
	if err := n.listen(s != Dead); err != nil {
		return err
	}
	if s == Flapping {
		n.all.Go(func() { n.flap(turn) })
	}
	return nil
}

// Close ends the line and waits for all that it does.
func (n *Line) Close() {
	close(n.quit)
	_ = n.listen(false)
	n.all.Wait()
}

// listen cuts everything, and listens anew if up.
func (n *Line) listen(up bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.l != nil {
		n.l.Close()
		n.l = nil
	}
	for c := range n.conns {
		c.Close()
	}
	clear(n.conns)
	if !up {
		return nil
	}
	l, err := net.Listen("tcp", n.Addr)
	if err != nil {
		return fmt.Errorf("listen for a line again: %w", err)
	}
	n.serve(l)
	return nil
}

// flap goes on until the state is another one.
func (n *Line) flap(turn <-chan struct{}) {
	for up := false; n.wait(FlapTime, turn); up = !up {
		if n.listen(up) != nil {
			return
		}
	}
}

// wait reports whether the time has passed before the line ended or changed.
func (n *Line) wait(d time.Duration, turn <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-turn:
	case <-n.quit:
	}
	return false
}

func (n *Line) serve(l net.Listener) {
	n.l = l
	n.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.all.Go(func() { n.take(l, c) })
		}
	})
}

// take does with a connection what the line's state asks for.
func (n *Line) take(l net.Listener, c net.Conn) {
	state, turn, ok := n.hold(l, c)
	defer n.drop(c)
	switch {
	case !ok:
	case state == Silent:
		_, _ = io.Copy(io.Discard, c)
	case state == Crowded:
		refuse(c)
	default:
		n.pass(l, c, state == Slow, turn)
	}
}

// hold notes a connection, unless its listener is gone meanwhile.
func (n *Line) hold(l net.Listener, c net.Conn) (State, <-chan struct{}, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.l != l {
		return n.state, n.turn, false
	}
	n.conns[c] = true
	return n.state, n.turn, true
}

func (n *Line) drop(c net.Conn) {
	c.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

// refuse reads as far as the module's name and says that there is no room.
func refuse(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, greeting)
	for buf, lines := make([]byte, 1), 0; lines < 2; {
		if _, err := c.Read(buf); err != nil {
			return
		}
		if buf[0] == '\n' {
			lines++
		}
	}
	_, _ = io.WriteString(c, crowded)
}

// pass connects both ends until either closes.
func (n *Line) pass(l net.Listener, c net.Conn, slow bool, turn <-chan struct{}) {
	d, err := net.DialTimeout("tcp", n.to, 5*time.Second)
	if err != nil {
		return
	}
	if _, _, ok := n.hold(l, d); !ok {
		d.Close()
		return
	}
	defer n.drop(d)
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{c, d}, {d, c}} {
		both.Go(func() {
			if slow {
				n.trickle(way[0], way[1], turn)
			} else {
				_, _ = io.Copy(way[0], way[1])
			}
			// One that has said all may still be told something.
			_ = way[0].(*net.TCPConn).CloseWrite()
		})
	}
	both.Wait()
}

// trickle copies at SlowRate.
func (n *Line) trickle(to io.Writer, from io.Reader, turn <-chan struct{}) {
	buf := make([]byte, slowPiece)
	for {
		got, err := from.Read(buf)
		if err != nil || !n.wait(time.Duration(got)*time.Second/SlowRate, turn) {
			return
		}
		if _, err := to.Write(buf[:got]); err != nil {
			return
		}
	}
}
