package agent_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"syncagent/agent"
	"syncagent/agent/config"
	"syncagent/agent/status"
	"syncagent/rsyncd"
	"syncagent/rsyncd/rsyncdtest"
)

// lab is a master in this process and real rsync daemons as its slaves.
type lab struct {
	t       *testing.T
	root    string // the master's tree
	dir     string
	slaves  []*rsyncdtest.Daemon
	yaml    string // module settings
	wire    string // more keys of each target
	top     string // more keys of the top level
	machine string // the file that names the host
	log     *os.File
	master  *agent.Master
	stop    func()
}

// newLab sets up slaves of one module "data"; start starts the master.
func newLab(t *testing.T, slaves int, settings string) *lab {
	t.Helper()
	l := &lab{t: t, dir: scratch(t), yaml: settings, stop: func() {}}
	l.root = filepath.Join(l.dir, "source")
	l.must(os.Mkdir(l.root, 0o755))
	for range slaves {
		l.slaves = append(l.slaves, rsyncdtest.Start(t, rsyncdtest.Options{Modules: []rsyncdtest.Module{{Name: "data", Path: scratch(t)}}}))
	}
	l.openLog()
	t.Cleanup(func() { l.stop() })
	return l
}

// openLog makes the master's log, which outlives a failed test.
func (l *lab) openLog() {
	l.t.Helper()
	var err error
	l.log, err = os.CreateTemp("", "syncagent-test-*.log")
	l.must(err)
	l.t.Cleanup(func() {
		l.log.Close()
		if l.t.Failed() {
			l.t.Logf("the master's log is %s", l.log.Name())
			return
		}
		os.Remove(l.log.Name())
	})
}

// scratch is a directory in memory where there is one: the disk is not the
// point.
func scratch(t *testing.T) string {
	base := os.TempDir()
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		base = "/dev/shm"
	}
	dir, err := os.MkdirTemp(base, "syncagent-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) config() *config.Master {
	l.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "state_dir: %s/state\nsocket: %s/agent.sock\n%stargets:\n", l.dir, l.dir, l.top)
	for i, s := range l.slaves {
		fmt.Fprintf(&b, "  s%d: {host: %s, port: %d, auth: {user: %s, password_file: %s}%s}\n", i+1, s.Host, s.Port, s.User, s.PasswordFile, l.wire)
	}
	fmt.Fprintf(&b, "modules:\n  data:\n    path: %s\n%s", l.root, l.yaml)
	c, err := config.DecodeMaster("agent.yaml", []byte(b.String()))
	l.must(err)
	return c
}

// start runs the master until stop is called or the test ends. What before does
// happens to a master that does not run yet.
func (l *lab) start(before ...func(*agent.Master)) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l.master = agent.NewMaster(agent.MasterConfig{Config: l.config(), Version: "test", Rsync: rsyncdtest.Rsync(l.t), Machine: l.machine, Log: log})
	for _, do := range before {
		do(l.master)
	}
	done := make(chan error, 1)
	go func() { done <- l.master.Run(ctx) }()
	l.stop = func() {
		l.t.Helper()
		cancel()
		if err := <-done; err != nil {
			l.t.Errorf("master ended: %v", err)
		}
		l.stop = func() {}
	}
	select {
	case <-l.master.Ready():
	case err := <-done:
		l.t.Fatalf("master ended: %v", err)
	case <-time.After(30 * time.Second):
		l.t.Fatal("master is not ready after 30 s")
	}
}

// note writes a line into the master's log.
func (l *lab) note(line string) {
	fmt.Fprintf(l.log, "time=%s test=%q\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), line)
}

// inSync waits until the master says that all is equal, and holds it to it.
func (l *lab) inSync() {
	l.t.Helper()
	rsyncdtest.Eventually(l.t, time.Minute, func() error {
		for _, t := range l.status().Targets {
			if t.Pending > 0 || t.Failing > 0 || t.InSyncAsOf.IsZero() || t.State != status.Idle {
				return fmt.Errorf("%s: %s, %d pending, %d failing: %s", t.Name, t.State, t.Pending, t.Failing, t.LastError)
			}
		}
		for _, s := range l.slaves {
			if err := rsyncdtest.Equal(l.root, s.Path("data")); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *lab) status() status.Module {
	return l.master.Snapshot().Modules[0]
}

func (l *lab) write(name, text string) {
	l.t.Helper()
	path := filepath.Join(l.root, name)
	l.must(os.MkdirAll(filepath.Dir(path), 0o755))
	l.must(os.WriteFile(path, []byte(text), 0o644))
}

func TestChurnConverges(t *testing.T) {
	for _, watcher := range []string{"fsnotify", "fanotify"} {
		t.Run(watcher, func(t *testing.T) { churnConverges(t, watcher) })
	}
}

func churnConverges(t *testing.T, watcher string) {
	rsyncdtest.NoLeaks(t)
	l := newLab(t, 2, "    delete_guard: off\n    first_sync: mirror\n    watcher: "+watcher+"\n")
	l.receivers() // a foreign daemon's target is in doubt for ten minutes after a run that was cut off
	outside := filepath.Join(l.dir, "outside")
	l.must(os.Mkdir(outside, 0o755))
	l.start()
	seed := rsyncdtest.Seed(t)
	churn := rsyncdtest.NewChurn(seed, l.root, outside)
	faults := rand.New(rand.NewPCG(seed, 1))
	for i := range 1500 {
		l.note(churn.Step())
		switch {
		case i%300 == 299:
			l.fault(faults)
		case i%10 == 0: // let it happen in several batches
			time.Sleep(time.Duration(faults.IntN(5)) * time.Millisecond)
		}
	}
	for _, s := range l.slaves {
		s.Restart()
	}
	l.inSync()
}

// receivers has the slaves' daemons tell of themselves as those of our receivers do.
func (l *lab) receivers() {
	l.t.Helper()
	notice := filepath.Join(l.dir, "motd")
	l.must(os.WriteFile(notice, rsyncd.Notice{Links: "kept", Owners: "kept"}.Render(), 0o644))
	for _, s := range l.slaves {
		conf := s.Conf
		conf.MOTDFile = notice
		s.WriteConf(conf)
		s.Restart()
	}
}

// fault does one bad thing to a random slave, or to the master.
func (l *lab) fault(r *rand.Rand) {
	s := l.slaves[r.IntN(len(l.slaves))]
	switch r.IntN(3) {
	case 0:
		s.Kill()
		s.Restart()
	case 1:
		s.Stop()
		s.Restart()
	case 2:
		l.stop()
		l.start()
	}
}

// Status may be asked for as soon as the socket answers.
func TestSnapshotWhileStarting(t *testing.T) {
	l := newLab(t, 1, "")
	ended, asked := make(chan struct{}), make(chan struct{})
	l.start(func(m *agent.Master) {
		go func() {
			defer close(asked)
			for {
				select {
				case <-ended:
					return
				default:
					m.Snapshot()
				}
			}
		}()
	})
	close(ended)
	<-asked
}

func TestWireChoicesAreTaken(t *testing.T) {
	for _, wire := range []string{"whole_file: yes", "whole_file: no", "compress: zstd", "compress: zlib", "checksum_choice: xxh128", "bwlimit: 10M"} {
		t.Run(wire, func(t *testing.T) {
			l := newLab(t, 1, "")
			l.wire = ", " + wire
			l.start()
			l.write("page", strings.Repeat("text\n", 1000))
			l.inSync()
			l.write("page", strings.Repeat("text\n", 2000))
			l.inSync()
		})
	}
}
