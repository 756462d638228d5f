package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"syncagent/agent"
	"syncagent/agent/config"
	"syncagent/agent/provision"
	"syncagent/secrets"
)

// initOptions are what both roles' init takes.
type initOptions struct {
	modules      []string
	user         string
	passwordFile string
	dir          string
	root         string
	service      string
	check, diff  bool
	force        bool
	detailed     bool

	// What a caller that is not a command line hands over instead.
	content  []byte         // of the configuration
	password secrets.Secret // of the first user
	rotating bool           // nothing but password and others counts
	others   []secrets.User // who may log in besides
	exact    bool           // nobody else may stand in the secrets file
	program  string         // what the unit starts
}

func (a *app) initCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "bring this host to the wanted state, as master or as slave",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage("say which: agent init master, or agent init slave")
		},
	}
	cmd.AddCommand(a.initSlaveCommand(), a.initMasterCommand())
	return cmd
}

func (o *initOptions) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.modules, "module", nil, "a tree to replicate, `NAME=PATH`; may be given again")
	f.StringVar(&o.user, "user", "", "`NAME` the master logs in with (default repl)")
	f.StringVar(&o.passwordFile, "password-file", "", "`FILE` with the password, - for standard input")
	o.common(f)
}

// common are the flags of everything that converges.
func (o *initOptions) common(f *pflag.FlagSet) {
	f.StringVar(&o.dir, "dir", "", "make a self-contained instance in `DIR`")
	f.StringVar(&o.root, "root", "", "stage everything below `DIR`, for an image or a package; no service is touched")
	f.StringVar(&o.service, "service", "auto", "who runs it: auto, systemd or none")
	f.BoolVar(&o.check, "check", false, "only say what would change")
	f.BoolVar(&o.diff, "diff", false, "show the changes of files")
	f.BoolVar(&o.force, "force", false, "replace generated files that were edited by hand, keeping a backup beside each")
	f.BoolVar(&o.detailed, "detailed-exitcode", false, "with --check: exit 4 when changes are pending")
}

const initExit = `
Exit status: 0 done, changed or not; 1 failed; 2 wrong usage or configuration, nothing was touched;
4 with --check --detailed-exitcode: changes are pending.`

// initRun is one init under way.
type initRun struct {
	*app
	initOptions
	role    config.Role
	wanted  agent.Wanted
	desired provision.Desired
}

// start checks the options of both roles and finds out about this host.
func (a *app) newInit(role config.Role, o initOptions) (*initRun, error) {
	if o.root != "" && o.dir != "" {
		return nil, usage("--root and --dir: give one of them; --dir makes an instance of its own, --root stages the host's")
	}
	if o.service != "auto" && o.service != "systemd" && o.service != "none" {
		return nil, usage("--service %q: write auto, systemd or none", o.service)
	}
	for _, p := range []*string{&o.root, &o.dir} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return nil, fmt.Errorf("resolve %s: %w", *p, err)
		}
		*p = abs
	}
	r := &initRun{app: a, initOptions: o, role: role}
	r.desired = provision.Desired{Role: string(role), Version: version}
	if r.service == "auto" {
		r.service = r.defaultService()
	}
	r.wanted = agent.Wanted{
		Version: version, File: r.paths().Config, Root: os.Geteuid() == 0 || o.root != "",
		Units: r.service == "systemd", Staged: r.root != "", Binary: r.binary(),
		Packaged: func(unit string) bool { return provision.Packaged(r.root, unit) },
	}
	return r, r.findRsync()
}

func (r *initRun) defaultService() string {
	if r.dir != "" {
		return "none"
	}
	if r.root != "" {
		return "systemd"
	}
	return provision.DetectService(r.root)
}

func (r *initRun) paths() config.Paths { return config.DefaultPaths(r.role, r.dir) }

// binary is what the unit starts: this very file, or where a package puts it.
func (r *initRun) binary() string {
	switch {
	case r.program != "":
		return r.program
	case r.root != "":
		return stagedBinary(r.root)
	}
	exe, err := os.Executable()
	if err != nil {
		return "/usr/local/bin/agent"
	}
	return exe
}

// stagedBinary is where the program is below root, or will be.
func stagedBinary(root string) string {
	const ours, packaged = "/usr/local/bin/agent", "/usr/bin/agent"
	for _, path := range []string{ours, packaged} {
		if info, err := os.Stat(filepath.Join(root, path)); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ours
}

func (r *initRun) findRsync() error {
	path, err := exec.LookPath("rsync")
	if err == nil {
		r.wanted.Rsync = path
		return nil
	}
	const hint = "install it, for example \"apt-get install rsync\""
	if r.check || r.root != "" {
		r.desired.Warnings = append(r.desired.Warnings, "rsync is not installed: "+hint)
		return nil
	}
	return &provision.Problem{Code: "rsync", Message: "rsync is not installed", Hint: hint}
}

// inRoot is where a path lies while it is staged.
func (r *initRun) inRoot(path string) string { return filepath.Join(r.root, path) }

// old is the configuration file as it stands, nil when there is none.
func (r *initRun) old() ([]byte, error) {
	data, err := os.ReadFile(r.inRoot(r.wanted.File))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return data, nil
}

// given is the configuration handed over with --config.
func (r *initRun) given() ([]byte, error) {
	if len(r.modules) > 0 || r.user != "" {
		return nil, usage("--config says it all: leave out --module, --user and the other flags of the configuration, or leave out --config")
	}
	if r.content != nil {
		return r.content, nil
	}
	if r.configFile == "-" {
		data, err := io.ReadAll(io.LimitReader(r.in, 16<<20))
		if err != nil {
			return nil, fmt.Errorf("read configuration from standard input: %w", err)
		}
		return data, nil
	}
	data, err := os.ReadFile(r.configFile)
	if err != nil {
		return nil, usage("read configuration: %w", err)
	}
	return data, nil
}

// writes says whether the configuration file itself is written: a file given
// as the very one to write is never rewritten.
func (r *initRun) writes(content []byte) []byte {
	given, errGiven := os.Stat(r.configFile)
	there, errThere := os.Stat(r.inRoot(r.wanted.File))
	if r.configFile != "" && errGiven == nil && errThere == nil && os.SameFile(given, there) {
		return nil
	}
	return content
}

// secret reads the password, if one was given. Without one the secret file has
// to be there already.
func (r *initRun) secret(file string) (secrets.Secret, error) {
	switch {
	case r.rotating || !r.password.Empty():
		return r.password, nil
	case r.passwordFile == "-" && r.configFile == "-":
		return secrets.Secret{}, usage("standard input cannot be the configuration and the password: give one of them as a file")
	case r.passwordFile == "-":
		s, err := secrets.Read(r.in)
		return s, asUsage(err)
	case r.passwordFile != "":
		s, err := secrets.LoadFile(r.passwordFile)
		return s, asUsage(err)
	case os.Getenv("SYNCAGENT_PASSWORD") != "":
		s, err := secrets.FromEnv("SYNCAGENT_PASSWORD")
		return s, asUsage(err)
	}
	if _, err := os.Lstat(r.inRoot(file)); err != nil {
		return secrets.Secret{}, usage("no password: give --password-file FILE (\"agent secrets generate > FILE\" makes one), or set SYNCAGENT_PASSWORD")
	}
	return secrets.Secret{}, nil
}

func asUsage(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitUsage, err}
}

// host is the machine to check the configuration against, nil for a staged
// one.
func (r *initRun) host(secretFile string) *config.Host {
	if r.root != "" {
		return nil
	}
	if r.wanted.Secret.Empty() && !(r.ours(secretFile) && secrets.CheckMode(secretFile) != nil) {
		secretFile = ""
	}
	return hostOf(r.wanted.File, secretFile)
}

// ours reports whether a secret file is the one that init itself makes.
func (r *initRun) ours(secretFile string) bool {
	p := r.paths()
	return secretFile == p.PasswordFile || secretFile == p.SecretsFile
}

// keepSecret has our secret file's mode and owner repaired when no password was
// given to write into it.
func (r *initRun) keepSecret(file string) error {
	if !r.wanted.Secret.Empty() || !r.ours(file) {
		return nil
	}
	content, err := os.ReadFile(r.inRoot(file))
	if err != nil {
		return fmt.Errorf("read secret file: %w", err)
	}
	keep := provision.File{Path: file, Content: content, Mode: 0o600, Secret: true, User: true}
	if r.wanted.Root {
		keep.Owner = provision.Owner{User: "0", Group: "0"}
	}
	r.desired.Files = append(r.desired.Files, keep)
	return nil
}

// finish converges and reports.
func (r *initRun) finish(ctx context.Context) error {
	report := provision.Converge(ctx, provision.NewSystem(), r.desired, r.options())
	return r.report(report)
}

func (r *initRun) options() provision.Options {
	return provision.Options{Check: r.check, Diff: r.diff, Force: r.force, Root: r.root, Service: r.service}
}

// report prints what was done; with --output json it is one line, also when
// nothing came so far as to be done.
func (r *initRun) report(rep provision.Report) error {
	if r.output == "json" {
		line, err := json.Marshal(rep)
		if err != nil {
			return fmt.Errorf("encode report: %w", err)
		}
		fmt.Fprintf(r.out, "%s\n", line)
		return quiet(rep.ExitCode(r.detailed))
	}
	if rep.Error == nil {
		rep.Text(r.out, r.color(r.out))
		return quiet(rep.ExitCode(r.detailed))
	}
	problem, code := rep.Error, rep.ExitCode(r.detailed)
	rep.Error, rep.Msg = nil, "nothing was changed" // the error itself goes to standard error, once
	if n := len(rep.Changes); n > 0 {
		rep.Msg = fmt.Sprintf("failed after %d changes", n)
	}
	rep.Text(r.out, r.color(r.out))
	return &exitError{code, problem}
}

// failedInit turns an error that came before converging into the same report.
func (a *app) failedInit(role config.Role, o initOptions, err error) error {
	var exit *exitError
	if err == nil || a.output != "json" || errors.As(err, &exit) && exit.err == nil {
		return err
	}
	p := problemOf(err)
	r := &initRun{app: a, initOptions: o}
	rep := provision.Failure(provision.Desired{Role: string(role), Version: version}, r.options(), p)
	return r.report(rep)
}

// problemOf says in a report what err is about.
func problemOf(err error) provision.Problem {
	var p *provision.Problem
	var faults config.Faults
	var exit *exitError
	switch {
	case errors.As(err, &p):
		return *p
	case errors.As(err, &faults) && len(faults) > 0:
		f := faults[0]
		return provision.Problem{Code: provision.CodeInvalid, Message: strings.Join(lines(err), "; "), Path: f.File, Line: f.Line, Hint: f.Hint}
	case errors.As(err, &exit) && exit.code == exitUsage:
		return provision.Problem{Code: provision.CodeInvalid, Message: err.Error()}
	}
	return provision.Problem{Code: provision.CodeFailed, Message: err.Error()}
}

// pairs splits NAME=VALUE words, of modules and targets.
func pairs(flag string, words []string) (map[string]string, error) {
	m := map[string]string{}
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok || name == "" || value == "" {
			return nil, usage("--%s %q: write %s", flag, w, map[string]string{"module": "NAME=PATH, as in www=/www/www", "target": "NAME=HOST, as in s1=192.168.1.168"}[flag])
		}
		if _, twice := m[name]; twice {
			return nil, usage("--%s %s: given twice: give each name once", flag, name)
		}
		m[name] = value
	}
	return m, nil
}
