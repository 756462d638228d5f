package sersync

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"syncagent/agent/config"
	"syncagent/secrets"
)

// plugin takes the plugin that is chosen, with its section at the top, as a hook
// of every module of the file.
func (b *builder) plugin(head, chosen *element, spec *config.ModuleSpec) {
	if !chosen.on() {
		return
	}
	name := chosen.attr("name")
	section := pluginSection(head, name)
	if section == nil {
		b.say(chosen.line, Warning, chosen.says("name"), "nothing is run", "there is no section for it, or sersync has no such plugin")
		return
	}
	if section.attr("name") != "command" {
		b.ownRoot(section)
	}
	b.hooks = section.line
	if h, ok := b.hook(section); ok {
		spec.Hooks = append(spec.Hooks, h)
		b.say(chosen.line, Changed, chosen.says("name"), fmt.Sprintf("hooks: [{name: %s, ...}], once a slave has the path", h.Name),
			"it ran for each event, also when no slave had taken the file, and held the transfers up")
	}
}

// pluginSection is the section at the top of a plugin that exists, or nil.
func pluginSection(head *element, name string) *element {
	if !slices.Contains(Plugins(), name) {
		return nil
	}
	for _, p := range head.all("plugin") {
		if p.attr("name") == name {
			return p
		}
	}
	return nil
}

// pluginQueue is how many paths wait for a plugin: the original lost none, since it
// held the transfers up, and a tree that is copied in has thousands.
const pluginQueue = 100_000

// hook makes a plugin's section a hook, and says what it lacks.
func (b *builder) hook(section *element) (config.Hook, bool) {
	name := section.attr("name")
	kind, fill := name, b.command
	switch name {
	case "socket":
		fill = b.socket
	case "http":
		fill = b.http
	case "refreshCDN":
		kind, fill = config.HookCDN, b.cdn
	}
	h := config.NewHook(name, kind)
	h.Scope = config.ScopeTarget
	h.Queue = pluginQueue
	return h, fill(section, &h)
}

// pluginAlone adds a file as -m runs it: the plugin is told what changes in the
// directory that is its own, for command the first of <sersync>, and nothing is
// sent anywhere.
func (b *builder) pluginAlone(head *element, name string) {
	section := pluginSection(head, name)
	if section == nil {
		b.fault(head.line, fmt.Sprintf("has no <plugin name=%q>, which -m asks for", name), "add it, or run without -m")
		return
	}
	local := section.first("localpath")
	if name == "command" {
		local = head.first("sersync", "localpath")
	}
	if local == nil {
		b.fault(section.line, section.says("name")+" has no <localpath watch=...>", "add the directory that is to be watched")
		return
	}
	b.idle(head)
	b.say(head.first("sersync").at(), Unneeded, "<sersync>", "targets: []", "-m runs the plugin alone, for what changes in "+local.attr("watch")+"; nothing is sent")
	spec := config.NewModule("", "")
	spec.Targets = []config.ModuleDest{}
	b.filters(head.first("filter"), &spec)
	b.switches(head.first("inotify"), &spec)
	b.hooks = section.line
	h, ok := b.hook(section)
	if !ok {
		b.fault(section.line, section.says("name")+" lacks what it needs, so that nothing would run", "see the warning, and complete it")
		return
	}
	spec.Hooks = append(spec.Hooks, h)
	if b.watch(local, &spec) {
		b.merge(local.line, spec)
	}
}

// toNowhere are redirections at the end of a command that hide what it prints.
func toNowhere() *regexp.Regexp { return regexp.MustCompile(`(?:\s*(?:[12&]?>>?\s*/dev/null|2>&1))+$`) }

// suffix is that of a command, without redirections that hide what it prints.
func (b *builder) suffix(param *element) string {
	text := param.attr("suffix")
	rest := toNowhere().ReplaceAllString(text, "")
	if rest != text {
		b.say(param.line, Unneeded, param.says("suffix"), fmt.Sprintf("suffix: %q", rest), "what a command prints is kept for the log where it fails")
	}
	return rest
}

func (b *builder) command(p *element, h *config.Hook) bool {
	param := p.first("param")
	h.Prefix, h.Suffix, h.Scope = param.attr("prefix"), b.suffix(param), config.ScopeAll
	h.Retries = 0 // its exit status said nothing: the command may be one that must not run twice
	if h.Prefix == "" {
		b.say(p.line, Warning, "<plugin name=\"command\">", "nothing is run", "<param prefix> is missing")
		return false
	}
	if param.attr("ignoreError") == "true" {
		b.say(param.line, Changed, param.says("ignoreError"), "failures are counted and logged", "it hid what the command printed")
	}
	for _, a := range [...]struct{ attr, text string }{{"prefix", h.Prefix}, {"suffix", h.Suffix}} {
		if strings.ContainsAny(a.text, "|&;<>$`'\"\\*?~") {
			b.say(param.line, Warning, param.says(a.attr), fmt.Sprintf("the words %q, as they are", strings.Fields(a.text)),
				"no shell reads them: put the command into a script, and name that as prefix")
		}
	}
	b.say(param.line, Changed, param.says("prefix"), "words and path as arguments, no shell", "a name with a blank was two arguments, and one with a backtick was run")
	if f := p.first("filter"); f.on() {
		for _, i := range f.all("include") {
			if b.expression(i, "expression") {
				h.IncludeRegex = append(h.IncludeRegex, i.attr("expression"))
			}
		}
	}
	return true
}

// socket and the others had a watched directory of their own, which took the
// place of the module's.
func (b *builder) ownRoot(p *element) {
	if local := p.first("localpath"); local.attr("watch") != "" {
		b.say(local.line, Changed, local.says("watch"), "the hook runs for the files of the module", "the plugin's directory was watched instead of that of <sersync>")
	}
}

func (b *builder) socket(p *element, h *config.Hook) bool {
	host := p.first("localpath", "deshost")
	h.Address, h.Format = net.JoinHostPort(host.attr("ip"), host.attr("port")), config.FormatPath
	return b.complete(p, host, "ip", "port")
}

func (b *builder) http(p *element, h *config.Hook) bool {
	host := p.first("localpath", "deshost")
	h.URL, h.Format = host.attr("url"), config.FormatForm
	if !strings.Contains(h.URL, "://") {
		h.URL = "http://" + h.URL
	}
	return b.complete(p, host, "url")
}

func (b *builder) cdn(p *element, h *config.Hook) bool {
	local := p.first("localpath")
	info, send, re := local.first("cdninfo"), local.first("sendurl"), local.first("regexurl")
	h.Template, h.User, h.Base = "chinacache", info.attr("username"), send.attr("base")
	h.Scope = config.ScopeAll
	if domain := info.attr("domainname"); domain != "" {
		u := url.URL{Scheme: "http", Host: domain, Path: "/index.jsp"}
		if port := info.attr("port"); port != "" && port != "80" {
			u.Host = net.JoinHostPort(domain, port)
		}
		h.URL = u.String()
	}
	if re.attr("regex") == "true" && b.expression(re, "match") {
		h.Match = re.attr("match")
	}
	if !b.complete(p, info, "username") || !b.complete(p, send, "base") {
		return false
	}
	b.password(info, h)
	return true
}

// passwordEnv is the variable that holds a CDN's password.
const passwordEnv = "SYNCAGENT_CDN_PASSWORD"

// password keeps the password in memory, for who runs from the file; what is
// written of the configuration names a variable, another one for each password.
func (b *builder) password(info *element, h *config.Hook) {
	if text := info.attr("passwd"); text != "" {
		var err error
		if h.Secret, err = secrets.New(text); err != nil {
			b.say(info.line, Warning, "<cdninfo passwd>", "not read", err.Error())
		}
	}
	n := slices.IndexFunc(b.secrets, h.Secret.Equal)
	if n < 0 {
		n = len(b.secrets)
		b.secrets = append(b.secrets, h.Secret)
	}
	h.SecretEnv = passwordEnv
	if n > 0 {
		h.SecretEnv = fmt.Sprintf("%s_%d", passwordEnv, n+1)
	}
	b.say(info.line, Changed, "<cdninfo passwd>", "secret_env: "+h.SecretEnv+"; run -o takes it from here where that is not set",
		"a password does not stand in a configuration that others may read: set it for the agent, as with EnvironmentFile= of its unit")
}

// expression reports whether an attribute is an expression; an empty one is not,
// and matches nothing.
func (b *builder) expression(e *element, attr string) bool {
	text := e.attr(attr)
	if text == "" {
		b.say(e.line, Warning, e.says(attr), "nothing", "it is empty")
		return false
	}
	if _, err := regexp.Compile(text); err != nil {
		b.fault(e.line, fmt.Sprintf("%s is no regular expression: %v", e.says(attr), err), "write it in the syntax of RE2, without look-around")
		return false
	}
	return true
}

// complete says what a plugin lacks.
func (b *builder) complete(p, e *element, attrs ...string) bool {
	for _, a := range attrs {
		if e.attr(a) == "" {
			b.say(p.line, Warning, p.says("name"), "nothing is run", "its attribute "+a+" is missing")
			return false
		}
	}
	return true
}
