package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"syncagent/agent/config"
	"syncagent/agent/doctor"
	"syncagent/agent/proc"
	"syncagent/agent/provision"
	"syncagent/secrets"
)

// The steps of a change of password. rsync tries only the first line of a user
// in its secrets file, so there is no moment in which one user has two
// passwords: a change of password is a change of user. Each step is made on all
// of its hosts before the next one, each can be repeated, and replication works
// between any two.
const (
	stepAccept = "accept" // on each slave: the new user beside the old one
	stepSwitch = "switch" // on the master: log in as the new user
	stepDrop   = "drop"   // on each host: nobody but the new user
)

const rotateHelp = `Changes the password without interrupting replication, by way of another user name, in three steps:

  1. on each slave    agent secrets rotate accept --user NEW --password-file FILE
  2. on the master    agent secrets rotate switch --user NEW --password-file FILE
  3. on each slave    agent secrets rotate drop --user NEW
     on the master    agent secrets rotate drop --user NEW

rsync lets a user have one password only, so NEW has to be a name that is not in use, such as repl2 after repl.
Finish each step on all hosts before the next. A step that was made already changes nothing, and replication goes on
between the steps for as long as you like. Targets with a login of their own are left alone.`

// rotateOptions is one step.
type rotateOptions struct {
	initOptions
	step string
	role config.Role
}

func (a *app) rotateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate", Short: "change the password without interrupting replication",
		Long: rotateHelp, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("say which step: agent secrets rotate accept, switch or drop")
		},
	}
	cmd.AddCommand(
		a.rotateStep(stepAccept, "on a slave: let the new user in beside the old one"),
		a.rotateStep(stepSwitch, "on the master: log in as the new user from now on"),
		a.rotateStep(stepDrop, "on a slave, then on the master: forget the old user"))
	return cmd
}

func (a *app) rotateStep(step, short string) *cobra.Command {
	o := rotateOptions{step: step}
	cmd := &cobra.Command{
		Use: step, Short: short, Long: strings.ToUpper(short[:1]) + short[1:] + ".\n\n" + rotateHelp + "\n" + initExit, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := a.rotate(cmd.Context(), &o)
			return a.failedInit(o.role, o.initOptions, err)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.user, "user", "", "`NAME` of the new user")
	if step != stepDrop {
		f.StringVar(&o.passwordFile, "password-file", "", "`FILE` with the new password, - for standard input")
	}
	o.common(f)
	return cmd
}

// rotate finds out which of the two files the step is about.
func (a *app) rotate(ctx context.Context, o *rotateOptions) error {
	if o.user == "" {
		return usage("say who the new user is: --user NAME")
	}
	if err := secrets.CheckUser(o.user); err != nil {
		return usage("--user: %w", err)
	}
	if o.role == "" {
		o.role = a.roleOfStep(o)
	}
	r, err := a.newInit(o.role, o.initOptions)
	if err != nil {
		return err
	}
	old, err := r.old()
	if err != nil {
		return err
	}
	if old == nil {
		return usage("%s is missing: run \"agent init %s\" first", r.wanted.File, o.role)
	}
	if o.role == config.RoleSlave {
		return r.rotateSlave(ctx, o.step, old)
	}
	return r.rotateMaster(ctx, o.step, old)
}

// roleOfStep is the slave where there is one, but for the step that is the
// master's.
func (a *app) roleOfStep(o *rotateOptions) config.Role {
	if o.step == stepSwitch {
		return config.RoleMaster
	}
	if _, err := os.Stat(filepath.Join(o.root, config.DefaultPaths(config.RoleSlave, o.dir).Config)); err != nil && o.step == stepDrop {
		return config.RoleMaster
	}
	return config.RoleSlave
}

// taken is a new user that is none.
func taken(user, file string) error {
	return usage("user %s stands in %s with another password: a user has one password, so take a new name", user, file)
}

// newPassword reads the new password and compares it with that of a user who is
// known already.
func (r *initRun) newPassword(file string, known secrets.Secret) (secrets.Secret, error) {
	s := r.password
	var err error
	if s.Empty() {
		if r.passwordFile == "" && os.Getenv("SYNCAGENT_PASSWORD") == "" {
			return s, usage("no password: give --password-file FILE, or set SYNCAGENT_PASSWORD")
		}
		if s, err = r.secret(file); err != nil {
			return s, err
		}
	}
	if !known.Empty() && !known.Equal(s) {
		return s, taken(r.user, file)
	}
	return s, nil
}

func (r *initRun) rotateSlave(ctx context.Context, step string, old []byte) error {
	c, err := config.DecodeReceiver(r.wanted.File, old)
	if err != nil {
		return err
	}
	there, err := r.usersIn(c.Auth.SecretsFile)
	if err != nil {
		return err
	}
	ch := config.ReceiverChange{}
	known := slices.Contains(c.Auth.Users(), r.user)
	switch {
	case step == stepDrop && !known:
		return usage("user %s is not let in here: run \"agent secrets rotate accept\" first", r.user)
	case step == stepDrop:
		ch.User, ch.Also, r.exact = r.user, []string{}, true
	default:
		var s secrets.Secret
		if known {
			s = passwordOf(there, r.user)
		}
		if s, err = r.newPassword(c.Auth.SecretsFile, s); err != nil {
			return err
		}
		r.others = []secrets.User{{Name: r.user, Secret: s}}
		if !known {
			ch.Also = append(c.Auth.Also, r.user)
		}
	}
	r.user, r.password, r.rotating = "", secrets.Secret{}, true
	if r.content, err = config.EditReceiver(old, ch); err != nil {
		return err
	}
	return r.slave(ctx, r.content)
}

func passwordOf(users []secrets.User, name string) secrets.Secret {
	for _, u := range users {
		if u.Name == name {
			return u.Secret
		}
	}
	return secrets.Secret{}
}

func (r *initRun) rotateMaster(ctx context.Context, step string, old []byte) error {
	c, err := config.DecodeMaster(r.wanted.File, old)
	if err != nil {
		return err
	}
	if step == stepDrop {
		if c.Auth.User != r.user {
			return usage("the master logs in as %s: run \"agent secrets rotate switch\" first", c.Auth.User)
		}
		r.user, r.content, r.exact, r.rotating = "", old, true, true
		return r.master(ctx, old)
	}
	ch := config.MasterChange{User: r.user, PasswordFile: c.Auth.PasswordFile}
	var known secrets.Secret
	if c.Auth.User == r.user {
		known, _ = secrets.LoadFile(r.inRoot(c.Auth.PasswordFile)) // one that cannot be read is written anew
	} else {
		ch.PasswordFile = passwordFileOf(c.Auth.PasswordFile, r.user)
	}
	if r.password, err = r.newPassword(ch.PasswordFile, known); err != nil {
		return err
	}
	if c.Auth.User != r.user && r.root == "" {
		if err := r.letIn(ctx, c, r.user, r.password); err != nil {
			return err
		}
	}
	r.user, r.rotating = "", true
	if r.content, err = config.EditMaster(old, ch); err != nil {
		return err
	}
	return r.master(ctx, r.content)
}

// passwordFileOf is a file beside the one in use: user and file change in one
// write of the configuration, so no run ever has the one without the other.
func passwordFileOf(file, user string) string {
	return filepath.Join(filepath.Dir(file), "rsync-"+user+".pass")
}

// letIn makes sure that no slave refuses the new user: replication would stop.
// One that cannot be reached does not decide; it is said.
func (r *initRun) letIn(ctx context.Context, c *config.Master, user string, s secrets.Secret) error {
	dir, err := os.MkdirTemp("", "syncagent-rotate-")
	if err != nil {
		return fmt.Errorf("make directory for the password: %w", err)
	}
	defer os.RemoveAll(dir)
	trial := *c
	trial.Auth = config.Auth{User: user, PasswordFile: filepath.Join(dir, "pass")}
	if err := os.WriteFile(trial.Auth.PasswordFile, secrets.RenderClient(s), 0o600); err != nil {
		return fmt.Errorf("write password for a trial: %w", err)
	}
	list, err := asking(ctx, func(opt doctor.Options) []doctor.Finding { return doctor.Targets(ctx, &trial, opt) })
	if err := errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	for _, f := range list {
		switch {
		case f.Level != doctor.Fail:
		case f.Check == "login":
			return &provision.Problem{
				Code: "refused", Path: f.Subject, Message: f.Subject + ": user " + user + " is not let in: " + strings.ReplaceAll(f.Text, dir, "..."),
				Hint: "run \"agent secrets rotate accept\" there first",
			}
		case f.Check == "port":
			r.desired.Warnings = append(r.desired.Warnings, f.Subject+": not asked whether it lets user "+user+" in: "+f.Text)
		}
	}
	return nil
}

// asking lends a question to slaves what it needs to run rsync.
func asking(ctx context.Context, ask func(doctor.Options) []doctor.Finding) ([]doctor.Finding, error) {
	spawner := proc.NewSpawner("")
	var list []doctor.Finding
	err := spawner.While(ctx, func() error {
		list = ask(doctor.Options{Spawner: spawner})
		return nil
	})
	return list, err
}

// staleFiles are password files of ours that no login uses any more.
func (r *initRun) staleFiles(c *config.Master) ([]provision.Absent, error) {
	used := []string{c.Auth.PasswordFile}
	for _, t := range c.TargetSpecs {
		used = append(used, t.Auth.PasswordFile)
	}
	dir := filepath.Dir(c.Auth.PasswordFile)
	entries, err := os.ReadDir(r.inRoot(dir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("look for old password files: %w", err)
	}
	var list []provision.Absent
	for _, e := range entries {
		path, name := filepath.Join(dir, e.Name()), e.Name()
		ours := name == "rsync.pass" || strings.HasPrefix(name, "rsync-") && strings.HasSuffix(name, ".pass")
		if ours && !slices.Contains(used, path) {
			list = append(list, provision.Absent{Path: path})
		}
	}
	return list, nil
}
