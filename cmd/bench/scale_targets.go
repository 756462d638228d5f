package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	scaleChanges = 20
	scaleRest    = 300 * time.Millisecond
	scaleReady   = 2 * time.Minute
)

func scaleTargets(ctx context.Context, env *environment) (curveResult, error) {
	res := curveResult{
		title: "Targets",
		about: "A stand-in takes the place of rsync and moves nothing: what is left is the agent's own work, its children's not counted.",
		columns: []string{
			"targets", "processor time of the agent for a change, ms", "the same for a change and target, ms",
			"until rsync ran for every target, ms", "memory of the agent, MB",
		},
		draw: []drawing{{file: "bench-targets.svg", column: 1, logY: true}},
	}
	for _, n := range []int{1, 10, 100, 300} {
		row, err := atTargets(ctx, env, n)
		if err != nil {
			return res, fmt.Errorf("%d targets: %w", n, err)
		}
		env.say("scale-targets  %4d  %s ms of processor a change, all have it after %s ms", n, number(row[1]), number(row[3]))
		res.rows = append(res.rows, row)
	}
	return res, nil
}

// atTargets measures one point of the curve.
func atTargets(ctx context.Context, env *environment, n int) ([]float64, error) {
	r, err := newRig(env, 0)
	if err != nil {
		return nil, err
	}
	defer r.close()
	fakes, err := fakeDaemons(n)
	if err != nil {
		return nil, err
	}
	r.loops = append(r.loops, fakes.close)
	bin, runs, err := stubBeside(r)
	if err != nil {
		return nil, err
	}
	defer runs.Close()
	if err := (&ours{}).init(ctx, r, r.source, masterDir(r), fakes.initArgs()...); err != nil {
		return nil, err
	}
	if err := launchAgent(r, "PATH="+bin+":"+os.Getenv("PATH")); err != nil {
		return nil, err
	}
	if err := agentRests(ctx, r, scaleReady); err != nil {
		return nil, err
	}
	return changesTo(ctx, r, runs, n)
}

// changesTo makes changes one after the other and counts what they cost.
func changesTo(ctx context.Context, r *rig, runs *net.UnixConn, n int) ([]float64, error) {
	pid := r.master.PID()
	if err := pause(ctx, scaleRest); err != nil {
		return nil, err
	}
	before, err := cpuTime(pid)
	if err != nil {
		return nil, err
	}
	var took []float64
	for i := range scaleChanges {
		begin := time.Now()
		name := fmt.Sprintf("change%d", i)
		if err := os.WriteFile(r.at(name), []byte(name), 0o644); err != nil {
			return nil, err
		}
		if err := awaitRuns(runs, "/"+name, n, begin.Add(r.bound)); err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(begin).Microseconds())/1000)
		if err := pause(ctx, scaleRest); err != nil {
			return nil, err
		}
	}
	after, err := cpuTime(pid)
	if err != nil {
		return nil, err
	}
	mb, err := memory(pid)
	each := float64((after - before).Microseconds()) / 1000 / scaleChanges
	return []float64{float64(n), each, each / float64(n), median(took), mb}, err
}

// awaitRuns returns when n destinations were sent the entry.
func awaitRuns(runs *net.UnixConn, entry string, n int, deadline time.Time) error {
	if err := runs.SetReadDeadline(deadline); err != nil {
		return err
	}
	have := map[string]bool{}
	for buf := make([]byte, 2*maxTold); len(have) < n; {
		size, err := runs.Read(buf)
		if err != nil {
			return fmt.Errorf("%w: %s was sent to %d of %d targets: %w", errNever, entry, len(have), n, err)
		}
		dest, entries := told(buf[:size])
		for _, e := range entries {
			if e == entry {
				have[dest] = true
			}
		}
	}
	return nil
}

// stubBeside puts this very program into a directory as rsync, with the socket
// that it tells its runs to.
func stubBeside(r *rig) (bin string, runs *net.UnixConn, err error) {
	bin = filepath.Join(r.dir, "bin")
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	content, err := os.ReadFile(self)
	if err != nil {
		return "", nil, err
	}
	err = errors.Join(os.Mkdir(bin, 0o755), os.WriteFile(filepath.Join(bin, stubName), content, 0o755))
	if err != nil {
		return "", nil, err
	}
	runs, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(bin, stubSocket), Net: "unixgram"})
	return bin, runs, err
}

// fakes are listeners that greet like rsync daemons, each on an address of its
// own.
type fakes []net.Listener

func fakeDaemons(n int) (fakes, error) {
	var f fakes
	for i := range n {
		l, err := net.Listen("tcp", fmt.Sprintf("127.1.%d.%d:0", i/250, i%250+1))
		if err != nil {
			f.close()
			return nil, fmt.Errorf("listen as slave %d: %w", i+1, err)
		}
		f = append(f, l)
		go greetAll(l)
	}
	return f, nil
}

// greetAll ends when the listener is closed.
func greetAll(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_ = greet(conn)
		}()
	}
}

// greet speaks the opening of the daemon protocol and knows no module.
func greet(conn io.ReadWriter) error {
	if _, err := io.WriteString(conn, "@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n"); err != nil {
		return err
	}
	in := bufio.NewReader(io.LimitReader(conn, 4096))
	for range 2 {
		if _, err := in.ReadString('\n'); err != nil {
			return err
		}
	}
	_, err := io.WriteString(conn, "@ERROR: Unknown module\n")
	return err
}

func (f fakes) close() {
	for _, l := range f {
		_ = l.Close()
	}
}

func (f fakes) initArgs() []string {
	args := []string{"init", "master"}
	for i, l := range f {
		args = append(args, "--target", fmt.Sprintf("t%d=%s", i+1, l.Addr()))
	}
	return args
}
