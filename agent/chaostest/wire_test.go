package chaostest

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// wire stands between a host and the bridge and passes frames on, late or not
// at all.
type wire struct {
	delay atomic.Int64 // nanoseconds each way
	loss  atomic.Int64 // of a thousand frames
	ends  []*os.File
	all   sync.WaitGroup
}

// frames is how many are on their way at most; more are lost.
const frames = 4096

type frame struct {
	due  time.Time
	data []byte
}

// newWire replaces the host's link by a wire, until the test ends.
func (h *host) newWire() *wire {
	h.t.Helper()
	a, b := "a-"+h.name, "b-"+h.name
	h.ip("link add "+a+" type veth peer name "+b, "link set "+a+" master br0 up", "link set "+b+" up",
		"link set "+h.port()+" nomaster")
	w := &wire{}
	for _, name := range []string{b, h.port()} {
		end, err := rawSocket(name)
		if err != nil {
			h.t.Fatalf("open %s: %v", name, err)
		}
		w.ends = append(w.ends, end)
	}
	w.all.Go(func() { w.carry(w.ends[0], w.ends[1]) })
	w.all.Go(func() { w.carry(w.ends[1], w.ends[0]) })
	h.t.Cleanup(func() {
		for _, end := range w.ends {
			end.Close()
		}
		w.all.Wait()
		_ = ip("link del " + a)
	})
	return w
}

// rawSocket reads and writes whole frames of an interface with the header that
// says what their checksums lack: veth leaves them to hardware that is not there.
func rawSocket(name string) (*os.File, error) {
	const proto = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	end := os.NewFile(uintptr(fd), name)
	link, err := linkIndex(name)
	for _, opt := range []int{unix.PACKET_VNET_HDR, unix.PACKET_IGNORE_OUTGOING} {
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_PACKET, opt, 1)
		}
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: link})
	}
	if err != nil {
		end.Close()
		return nil, err
	}
	return end, nil
}

func linkIndex(name string) (int, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr)
	return int(ifr.Uint32()), err
}

// carry passes frames on until an end is closed.
func (w *wire) carry(from, to *os.File) {
	way := make(chan frame, frames)
	defer close(way)
	w.all.Go(func() {
		for f := range way {
			if wait := time.Until(f.due); wait > 0 {
				<-time.After(wait)
			}
			_, _ = to.Write(f.data) // a link that is down loses frames
		}
	})
	buf := make([]byte, 1<<17)
	for {
		n, err := from.Read(buf)
		if isClosed(err) {
			return
		}
		if err != nil || rand.Int64N(1000) < w.loss.Load() {
			continue
		}
		select {
		case way <- frame{time.Now().Add(time.Duration(w.delay.Load())), append([]byte(nil), buf[:n]...)}:
		default:
		}
	}
}

func isClosed(err error) bool { return errors.Is(err, os.ErrClosed) }
