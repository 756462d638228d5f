package config

import (
	"os"
	"path"
	"slices"
	"strings"
)

// hooks checks every hook as a whole.
func (v *validator) hooks(m *Master) {
	v.hookList("on_state", m.OnState, true)
	for _, mod := range m.ModuleSpecs {
		key := join("modules", mod.Name) + ".hooks"
		v.hookList(key, mod.Hooks, false)
		for _, h := range mod.Hooks {
			if mod.nowhere() && h.When == WhenFailure {
				v.add(join(key, h.Name), "a module without targets has no push that could fail", "remove when, or name targets")
			}
		}
	}
}

func (v *validator) hookList(key string, hooks []Hook, state bool) {
	seen := map[string]bool{}
	for i := range hooks {
		h := &hooks[i]
		at := join(key, h.Name)
		if seen[h.Name] {
			v.add(at, "there are two hooks of this name", "give one another name")
		}
		seen[h.Name] = true
		for _, p := range h.problems(state) {
			v.add(at, p.text, p.hint)
		}
		v.hookSecret(at, h)
	}
}

// problems are what is wrong with a hook whose keys are right one by one.
func (h *Hook) problems(state bool) []problem {
	var list []problem
	say := func(text, hint string) { list = append(list, problem{text, hint}) }
	if h.Timeout <= 0 {
		say("timeout is 0", "write a span of time, as in 30s")
	}
	if len(h.Include) > 0 && len(h.IncludeRegex) > 0 {
		say("include and include_regex stand together", "keep one")
	}
	if h.SecretFile != "" && h.SecretEnv != "" {
		say("secret_file and secret_env stand together", "keep one")
	}
	if h.Scope == ScopeAll && h.When != WhenSuccess {
		say("scope all is about what every target has, so when is success", "remove when, or take scope batch")
	}
	for _, key := range h.foreign() {
		say("key "+key+" is not of type "+h.Type, "remove it, or change the type")
	}
	switch h.Type {
	case "":
		say("the hook has no type", "write type: command, socket, http or cdn")
	case HookCommand:
		list = append(list, h.commandProblems()...)
	case HookSocket:
		list = append(list, h.socketProblems()...)
	case HookHTTP:
		list = append(list, h.httpProblems()...)
	case HookCDN:
		list = append(list, h.cdnProblems()...)
	}
	if state && (h.Type == HookCDN || h.Format == FormatPath || h.Format == FormatForm || h.Prefix+h.Suffix != "") {
		say("a hook of a state has no path to give", "take command with an argument list, socket or http with json")
	}
	return list
}

func (h *Hook) commandProblems() []problem {
	switch {
	case len(h.Command) == 0 && h.Prefix == "":
		return []problem{{"command is missing", "write command: [/path/to/program, argument]"}}
	case len(h.Command) > 0 && h.Prefix+h.Suffix != "":
		return []problem{{"command stands beside prefix and suffix", "keep one form"}}
	}
	program := strings.TrimSpace(h.Prefix)
	if len(h.Command) > 0 {
		program = h.Command[0]
	}
	program, _, _ = strings.Cut(program, " ")
	if strings.ContainsRune(program, '{') || strings.ContainsRune(program, '/') && !path.IsAbs(program) {
		return []problem{{"the program " + quote(program) + " is no absolute path and no plain name", "write /path/to/program"}}
	}
	return nil
}

func (h *Hook) socketProblems() []problem {
	var list []problem
	if h.Address == "" {
		list = append(list, problem{"address is missing", "write address: host:port or unix:/path"})
	}
	if h.Format == FormatForm {
		list = append(list, problem{"format form is of type http", "write json or path"})
	}
	return list
}

func (h *Hook) httpProblems() []problem {
	var list []problem
	if h.URL == "" {
		list = append(list, problem{"url is missing", "write url: and where to post"})
	}
	if h.Format == FormatPath {
		list = append(list, problem{"format path is of type socket", "write json or form"})
	}
	return list
}

func (h *Hook) cdnProblems() []problem {
	var list []problem
	miss := func(key, value, what string) {
		if value == "" {
			list = append(list, problem{key + " is missing", "write " + key + ": and " + what})
		}
	}
	miss("base", h.Base, "the URL of the module's root, as in https://www.example.com/")
	secret := h.SecretFile + h.SecretEnv
	switch h.Template {
	case "":
		miss("url", h.URL, "where the purge request goes, with placeholders")
	case "chinacache":
		miss("user", h.User, "the user of the account")
		miss("secret_file", secret, "the file of its password")
	case "cloudflare":
		miss("zone", h.Zone, "the zone's id")
		miss("secret_file", secret, "the file of an API token")
	case "bunny", "fastly":
		miss("secret_file", secret, "the file of an API token")
	}
	if h.Template != "" && h.Method+h.Body != "" {
		list = append(list, problem{"method and body are the template's", "remove them, or template"})
	}
	return list
}

// foreign names the keys of other types that are set.
func (h *Hook) foreign() []string {
	of := map[string]string{
		"command": HookCommand, "prefix": HookCommand, "suffix": HookCommand, "address": HookSocket,
		"format": HookSocket + HookHTTP, "url": HookHTTP + HookCDN, "headers": HookHTTP + HookCDN,
		"secret_file": HookHTTP + HookCDN, "secret_env": HookHTTP + HookCDN,
	}
	var names []string
	for _, f := range hookTypeFields(h) {
		types, ok := of[f.name]
		if !ok {
			types = HookCDN
		}
		set := f.list != nil && len(*f.list.p) > 0 || f.val != nil && f.val.text() != ""
		if set && h.Type != "" && !strings.Contains(types, h.Type) {
			names = append(names, f.name)
		}
	}
	slices.Sort(names)
	return names
}

// hookFiles are the files that hooks name.
func (m *Master) hookFiles() []located {
	var list []located
	add := func(key string, hooks []Hook) {
		for _, h := range hooks {
			list = append(list, located{key: join(key, h.Name) + ".secret_file", path: h.SecretFile})
		}
	}
	add("on_state", m.OnState)
	for _, mod := range m.ModuleSpecs {
		add(join("modules", mod.Name)+".hooks", mod.Hooks)
	}
	return present(list)
}

// hookSecret checks that the secret can be had.
func (v *validator) hookSecret(key string, h *Hook) {
	files := v.files()
	if files == nil {
		return
	}
	if h.SecretFile != "" {
		if err := files.Password(h.SecretFile); err != nil {
			v.add(key+".secret_file", err.Error(), "")
		}
	}
	if h.SecretEnv != "" && h.Secret.Empty() && os.Getenv(h.SecretEnv) == "" {
		v.add(key+".secret_env", "the environment variable "+h.SecretEnv+" is empty", "set it for the agent, as with EnvironmentFile= of its unit")
	}
}
