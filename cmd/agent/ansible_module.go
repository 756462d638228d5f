package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"syncagent/agent/config"
	"syncagent/secrets"
)

// maxArgs bounds what is read of a file of arguments.
const maxArgs = 16 << 20

// moduleArgs is what Ansible hands over: the arguments of the task, and keys of
// its own that begin with _ansible_.
type moduleArgs struct {
	Role     string         `json:"role"`
	Rotate   string         `json:"rotate"`
	Config   map[string]any `json:"config"`
	Password string         `json:"password"`
	User     string         `json:"user"`
	Users    []moduleUser   `json:"users"`
	Service  string         `json:"service"`
	Dir      string         `json:"dir"`
	Root     string         `json:"root"`
	Program  string         `json:"program"`
	Force    looseBool      `json:"force"`

	Check looseBool `json:"_ansible_check_mode"`
	Diff  looseBool `json:"_ansible_diff"`

	content []byte
}

// moduleUser is a user of the receiver.
type moduleUser struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// looseBool is a truth as Ansible writes it: templates make texts of them.
type looseBool bool

// UnmarshalJSON takes true, "yes" and the like.
func (b *looseBool) UnmarshalJSON(data []byte) error {
	switch strings.ToLower(strings.Trim(string(data), `"`)) {
	case "true", "yes", "on", "1":
		*b = true
	case "false", "no", "off", "0", "null", "":
		*b = false
	default:
		return errors.New("write true or false")
	}
	return nil
}

func (a *app) ansibleModuleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ansible-module ARGSFILE",
		Short: "what init does, in the way Ansible calls a module",
		Long: "Reads a JSON object of arguments and prints one JSON object, whatever happens. The arguments are those of the\n" +
			"module syncagent.agent.agent_init, which calls this; see \"ansible-doc syncagent.agent.agent_init\".\n\n" +
			"Exit status: 0 done, changed or not; 1 failed; 2 wrong arguments or configuration, nothing was touched.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, words []string) error {
			a.output, a.configFile = "json", ""
			return a.ansibleModule(cmd.Context(), words[0])
		},
	}
}

func (a *app) ansibleModule(ctx context.Context, file string) error {
	args, err := readModuleArgs(file)
	o := args.options()
	if err == nil {
		err = a.runModule(ctx, args, &o)
	}
	return a.failedInit(config.Role(args.Role), o.initOptions, err)
}

func (m moduleArgs) options() rotateOptions {
	return rotateOptions{step: m.Rotate, role: config.Role(m.Role), initOptions: initOptions{
		user: m.User, dir: m.Dir, root: m.Root, service: or(m.Service, "auto"), program: m.Program,
		check: bool(m.Check), diff: bool(m.Diff), force: bool(m.Force), content: m.content,
	}}
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// runModule does what the arguments say. The environment says nothing here:
// what a host becomes depends on the task alone.
func (a *app) runModule(ctx context.Context, m moduleArgs, o *rotateOptions) error {
	if err := m.passwords(&o.initOptions); err != nil {
		return err
	}
	if m.Rotate != "" {
		return a.rotate(ctx, o)
	}
	r, err := a.newInit(o.role, o.initOptions)
	if err != nil {
		return err
	}
	if o.role == config.RoleMaster {
		content, err := r.masterContent(masterOptions{initOptions: o.initOptions})
		if err != nil {
			return err
		}
		return r.master(ctx, content)
	}
	content, err := r.slaveContent(slaveOptions{initOptions: o.initOptions})
	if err != nil {
		return err
	}
	return r.slave(ctx, content)
}

func (m moduleArgs) passwords(o *initOptions) error {
	var err error
	if m.Password != "" {
		if o.password, err = secrets.New(m.Password); err != nil {
			return usage("password: %w", err)
		}
	}
	for i, u := range m.Users {
		s, err := secrets.New(u.Password)
		if err != nil {
			return usage("users: password of %q: %w", u.Name, err)
		}
		if i == 0 && o.password.Empty() {
			o.password = s
			continue
		}
		o.others = append(o.others, secrets.User{Name: u.Name, Secret: s})
	}
	return nil
}

// readModuleArgs is strict with what a playbook says, since Ansible itself does
// not check the arguments of such a module, and takes whatever Ansible adds.
// No error holds a value: it may be a password.
func readModuleArgs(file string) (moduleArgs, error) {
	var m moduleArgs
	raw, err := readObject(file)
	if err != nil {
		return m, err
	}
	known := moduleKeys()
	for _, name := range sortedKeys(raw) {
		if strings.HasPrefix(name, "_ansible_") || bytes.Equal(raw[name], []byte("null")) {
			continue
		}
		if !slices.Contains(known, name) {
			return m, usage("unknown argument %.100q: there are %s", name, strings.Join(known, ", "))
		}
	}
	// Check and diff first, so that a failure is reported as one of a check.
	for _, name := range append([]string{"_ansible_check_mode", "_ansible_diff"}, known...) {
		value, there := raw[name]
		if !there {
			continue
		}
		if err := decodeArg(&m, name, value); err != nil {
			return m, usage("argument %s is not of its type: %s", name, argumentType(name))
		}
	}
	return m, m.check()
}

func readObject(file string) (map[string]json.RawMessage, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, usage("read arguments: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxArgs+1))
	if err != nil {
		return nil, usage("read arguments: %w", err)
	}
	if len(data) > maxArgs {
		return nil, usage("read arguments: %s has more than %d bytes", file, maxArgs)
	}
	raw := map[string]json.RawMessage{}
	if err := json.Unmarshal(data, &raw); err != nil || raw == nil {
		return nil, usage("read arguments: %s holds no JSON object", file)
	}
	return raw, nil
}

// decodeArg decodes one argument and refuses unknown keys inside of it, but for
// the configuration, which has a strict reader of its own.
func decodeArg(m *moduleArgs, name string, value json.RawMessage) error {
	if name == "config" {
		m.content = value
	}
	one, err := json.Marshal(map[string]json.RawMessage{name: value})
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(one))
	d.DisallowUnknownFields()
	return d.Decode(m)
}

func moduleKeys() []string {
	return []string{"role", "rotate", "config", "password", "user", "users", "service", "dir", "root", "program", "force"}
}

func argumentType(name string) string {
	switch name {
	case "config":
		return "write a mapping"
	case "users":
		return "write a list of {name, password}"
	case "force", "_ansible_check_mode", "_ansible_diff":
		return "write true or false"
	}
	return "write a text"
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// check refuses what cannot be meant together, and makes the configuration's
// text.
func (m *moduleArgs) check() error {
	switch {
	case m.Role != string(config.RoleMaster) && m.Role != string(config.RoleSlave):
		return usage("argument role: write master or slave")
	case m.Rotate != "" && !slices.Contains([]string{stepAccept, stepSwitch, stepDrop}, m.Rotate):
		return usage("argument rotate: write accept, switch or drop")
	case m.Rotate == stepAccept && m.Role != string(config.RoleSlave), m.Rotate == stepSwitch && m.Role != string(config.RoleMaster):
		return usage("argument rotate: accept is for a slave, switch for the master")
	case m.Rotate != "" && (m.Config != nil || m.Users != nil):
		return usage("argument rotate goes with user and password, not with config and users")
	case m.Rotate == "" && m.User != "":
		return usage("argument user goes with rotate: otherwise the configuration says who the user is")
	case m.Rotate == "" && m.Config == nil:
		return usage("argument config is missing: write what %s shall say", filepath.Base(config.DefaultPaths(config.Role(m.Role), "").Config))
	case m.Role == string(config.RoleMaster) && m.Users != nil:
		return usage("argument users is for a slave: the master has one password")
	}
	if m.Rotate != "" {
		return nil
	}
	return m.configText()
}

// configText is the file's content: the mapping in the order in which the
// playbook has it, so that the same playbook makes the same file.
func (m *moduleArgs) configText() error {
	text, err := config.FromJSON(m.content)
	if err != nil {
		return usage("argument config: %w", err)
	}
	m.content = append([]byte(fmt.Sprintf("# Written by Ansible (syncagent.agent.agent_init, role: %s); the next run of the\n# playbook undoes what is changed here.\n", m.Role)), text...)
	return nil
}
