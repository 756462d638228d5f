package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"syncagent/agent/manifest"
	"syncagent/agent/proc"
	"syncagent/secrets"
)

type demoOptions struct {
	keep   bool
	source string
	dir    string
}

func (a *app) demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "watch it work: a master and two slaves on this machine",
		Long: "Sets up two slaves and a master on loopback addresses with the real init, receiver and run, replicates three\n" +
			"modules, edits them, shows how long each change takes to stand on each slave, and compares every byte.\n\n" +
			"Exit status: 0 everything is equal; 1 it is not.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.demo(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.keep, "keep", false, "leave it running and say how to play with it")
	f.StringVar(&o.source, "source", "", "`DIR` to copy in as input (default the Go installation's src)")
	f.StringVar(&o.dir, "dir", "", "work in `DIR` (default a temporary one)")
	return cmd
}

// stage is a demo under way.
type stage struct {
	out     io.Writer
	exe     string
	dir     string
	spawner *proc.Spawner
	master  *actor
	slaves  []*actor
}

// demoModules are those of the guide this program makes needless.
func demoModules() []string { return []string{"www", "bbs", "blog"} }

func (a *app) demo(ctx context.Context, o demoOptions) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	if _, err := findRsync(); err != nil {
		return err
	}
	dir, remove, err := demoDir(o)
	if err != nil {
		return err
	}
	defer remove()
	s := &stage{out: a.out, exe: exe, dir: dir, spawner: proc.NewSpawner("")}
	return s.spawner.While(ctx, func() error { return s.play(ctx, o) })
}

func demoDir(o demoOptions) (dir string, remove func(), err error) {
	if o.dir != "" {
		dir, err = filepath.Abs(o.dir)
		if err == nil {
			err = os.MkdirAll(dir, 0o755)
		}
		return dir, func() {}, err
	}
	if dir, err = os.MkdirTemp("", "syncagent-demo-"); err != nil {
		return "", nil, fmt.Errorf("make demo directory: %w", err)
	}
	// Slaves that run as root write as root; anybody may look at the result.
	err = os.Chmod(dir, 0o755)
	return dir, func() { os.RemoveAll(dir) }, err
}

// play is the whole demo.
func (s *stage) play(ctx context.Context, o demoOptions) error {
	fmt.Fprintf(s.out, "setting up a master and two slaves in %s\n", s.dir)
	if err := s.setUp(ctx); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	if err := s.copyIn(ctx, o.source); err != nil {
		return err
	}
	for _, e := range demoEdits() {
		if err := s.edit(ctx, e); err != nil {
			return err
		}
	}
	if err := s.compare(ctx); err != nil {
		return err
	}
	if !o.keep {
		return nil
	}
	s.invite()
	<-ctx.Done()
	return nil
}

// setUp initialises all three with the very commands a user types.
func (s *stage) setUp(ctx context.Context) error {
	pass := filepath.Join(s.dir, "pass")
	secret, err := secrets.Generate()
	if err != nil {
		return err
	}
	if err := os.WriteFile(pass, secrets.RenderClient(secret), 0o600); err != nil {
		return fmt.Errorf("write password: %w", err)
	}
	args := []string{"init", "master", "--user", "repl", "--password-file", pass}
	for _, name := range []string{"s1", "s2"} {
		port, err := freePort()
		if err != nil {
			return err
		}
		slave := s.newActor(name, "receiver", "receiver.yaml")
		s.slaves = append(s.slaves, slave)
		if err := s.init(ctx, slave, "init", "slave", "--user", "repl", "--password-file", pass,
			"--allow", "127.0.0.1", "--address", "127.0.0.1", "--port", port); err != nil {
			return err
		}
		args = append(args, "--target", name+"=127.0.0.1:"+port)
	}
	s.master = s.newActor("master", "run", "agent.yaml")
	for _, m := range demoModules() {
		if err := os.MkdirAll(s.master.tree(m), 0o755); err != nil {
			return fmt.Errorf("make source directory: %w", err)
		}
	}
	return s.init(ctx, s.master, args...)
}

func (s *stage) init(ctx context.Context, who *actor, args ...string) error {
	for _, m := range demoModules() {
		args = append(args, "--module", m+"="+who.tree(m))
	}
	args = append(args, "--dir", who.dir)
	fmt.Fprintf(s.out, "  %-6s agent %s\n", who.name, strings.ReplaceAll(strings.Join(args[:2], " ")+" ... --dir "+who.dir, s.dir+"/", ""))
	out, err := exec.CommandContext(ctx, s.exe, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("agent %s for %s: %w: %s", strings.Join(args[:2], " "), who.name, err, out)
	}
	return nil
}

// start launches the slaves, then the master, and waits until each is ready.
func (s *stage) start(ctx context.Context) error {
	for _, who := range append(append([]*actor{}, s.slaves...), s.master) {
		if err := who.start(ctx, s.exe, s.spawner); err != nil {
			return err
		}
	}
	return nil
}

// copyIn puts a real tree below the first module and measures until both slaves
// have it.
func (s *stage) copyIn(ctx context.Context, source string) error {
	if source == "" {
		source = goSource(ctx)
	}
	begin := time.Now()
	to := filepath.Join(s.master.tree("www"), "src")
	if source == "" {
		if err := inventTree(to); err != nil {
			return err
		}
	} else if err := os.CopyFS(to, os.DirFS(source)); err != nil {
		return fmt.Errorf("copy %s: %w", source, err)
	}
	want, err := manifest.Read(to, manifest.Options{})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "copied in a tree of %d entries in %s\n", len(want), since(begin))
	for _, slave := range s.slaves {
		there := filepath.Join(slave.tree("www"), "src")
		if err := eventually(ctx, 5*time.Minute, 20*time.Millisecond, func() error { return sameTree(want, there) }); err != nil {
			return fmt.Errorf("tree on %s: %w", slave.name, err)
		}
		fmt.Fprintf(s.out, "  stands on %s %s after the copy began\n", slave.name, since(begin))
	}
	return nil
}

func sameTree(want manifest.Manifest, dir string) error {
	got, err := manifest.Read(dir, manifest.Options{Vanishing: true})
	if err != nil {
		return err
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d of %d entries are there", len(got), len(want))
	}
	return nil
}

// goSource is the src tree of the Go installation, "" when there is none.
func goSource(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	dir := filepath.Join(strings.TrimSpace(string(out)), "src")
	if _, there := os.Stat(dir); err != nil || there != nil {
		return ""
	}
	return dir
}

// inventTree makes an input where there is no Go to take it from.
func inventTree(dir string) error {
	for i := range 100 {
		sub := filepath.Join(dir, fmt.Sprintf("dir%02d", i))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return fmt.Errorf("make input: %w", err)
		}
		for j := range 50 {
			text := strings.Repeat(fmt.Sprintf("file %d of %d\n", j, i), 100)
			if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("file%02d", j)), []byte(text), 0o644); err != nil {
				return fmt.Errorf("make input: %w", err)
			}
		}
	}
	return nil
}

// compare reads every byte of every module on both sides.
func (s *stage) compare(ctx context.Context) error {
	fmt.Fprintln(s.out, "comparing every byte, mode, time and name")
	entries := 0
	for _, m := range demoModules() {
		for _, slave := range s.slaves {
			err := eventually(ctx, time.Minute, 50*time.Millisecond, func() error {
				n, err := identical(s.master.tree(m), slave.tree(m))
				if err == nil {
					entries += n
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("module %s on %s: %w", m, slave.name, err)
			}
		}
	}
	fmt.Fprintf(s.out, "equal: %d entries on %d slaves\n", entries, len(s.slaves))
	return nil
}

func identical(a, b string) (int, error) {
	opts := manifest.Options{Content: true, Owners: os.Geteuid() == 0}
	want, err := manifest.Read(a, opts)
	if err != nil {
		return 0, err
	}
	got, err := manifest.Read(b, opts)
	if err != nil {
		return 0, err
	}
	if diff := manifest.Diff(want, got); len(diff) > 0 {
		return 0, fmt.Errorf("%d differences, the first is %v", len(diff), diff[0])
	}
	return len(want), nil
}

// invite says how to play with what is left running.
func (s *stage) invite() {
	fmt.Fprintf(s.out, "\nit keeps running; in another terminal try:\n"+
		"  echo hello > %s\n  cat %s\n  %s status -c %s\nend it with ctrl-c\n",
		filepath.Join(s.master.tree("blog"), "hello"), filepath.Join(s.slaves[1].tree("blog"), "hello"),
		s.exe, s.master.config)
}
