package agent

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"syncagent/agent/config"
	"syncagent/agent/hook"
	"syncagent/secrets"
)

// startHooks makes the hooks of a source's module and starts them. They end
// after everything that pushes has.
func (m *Master) startHooks(ctx context.Context, s *Source) {
	build := func(c config.Hook) (*hook.Hook, error) { return m.newHook(c, "module", s.module.Name) }
	s.hooks = newModuleHooks(build, s.Replicas, s.log)
	s.hooks.below = s.below
	s.hooks.set(ctx, s.module.Hooks, s.module.Path)
	m.after.start(ctx, moduleKey(s.module.Name), s.hooks.Run)
}

// newHook makes a hook of its configuration.
func (m *Master) newHook(c config.Hook, attrs ...any) (*hook.Hook, error) {
	r, err := m.runner(c)
	if err != nil {
		return nil, fmt.Errorf("hook %s: %w", c.Name, err)
	}
	return hook.New(hook.Spec{
		Name: c.Name, Runner: r, Single: c.Scope == config.ScopeTarget, Timeout: c.Timeout.Std(), Retries: c.Retries, Queue: c.Queue,
		Log: m.log.With(attrs...),
	}), nil
}

func (m *Master) runner(c config.Hook) (hook.Runner, error) {
	switch c.Type {
	case config.HookCommand:
		argv := c.Command
		if len(argv) == 0 {
			argv = hook.Legacy(c.Prefix, c.Suffix)
		}
		return hook.Command{Argv: argv, Spawner: m.spawner}, nil
	case config.HookSocket:
		return hook.Socket{Address: c.Address, Bare: c.Format == config.FormatPath}, nil
	case config.HookHTTP:
		return hook.HTTP{URL: c.URL, Headers: c.Headers, Form: c.Format == config.FormatForm, Secret: hookSecret(c), Client: hook.NewClient()}, nil
	}
	return cdnRunner(c)
}

// cdnRunner fills the ready template in, or takes the configuration as one.
func cdnRunner(c config.Hook) (hook.Runner, error) {
	t := hook.Template{Method: cmp.Or(c.Method, http.MethodPost), URL: c.URL, Body: c.Body}
	if c.Template != "" {
		ready, ok := hook.Templates()[c.Template]
		if !ok {
			return nil, fmt.Errorf("there is no template %s", c.Template)
		}
		t = ready
		t.URL = at(t.URL, c.URL)
	}
	t.Headers = append(t.Headers, c.Headers...)
	r := hook.CDN{
		Template: t, Base: c.Base, Append: c.Append, Zone: c.Zone, User: c.User, Secret: hookSecret(c), Client: hook.NewClient(),
	}
	if c.Match != "" {
		re, err := regexp.Compile(c.Match)
		if err != nil {
			return nil, fmt.Errorf("match: %w", err)
		}
		r.Match = re
	}
	return r, nil
}

// at puts another scheme and host into the URL of a template.
func at(text, other string) string {
	u, err := url.Parse(other)
	if other == "" || err != nil {
		return text
	}
	_, rest, _ := strings.Cut(text, "://")
	_, rest, _ = strings.Cut(rest, "/")
	return u.Scheme + "://" + u.Host + "/" + rest
}

// hookSecret is nil when the hook has none.
func hookSecret(c config.Hook) hook.Secret {
	switch {
	case !c.Secret.Empty():
		return func() (secrets.Secret, error) { return c.Secret, nil }
	case c.SecretFile != "":
		return func() (secrets.Secret, error) { return secrets.LoadFile(c.SecretFile) }
	case c.SecretEnv != "":
		return func() (secrets.Secret, error) { return secrets.FromEnv(c.SecretEnv) }
	}
	return nil
}
