package sersync

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"syncagent/agent/config"
)

// plugin takes the plugin that is chosen, with its section at the top, as a hook
// of every module of the file.
func (b *builder) plugin(head, chosen *element, spec *config.ModuleSpec) {
	if !chosen.on() {
		return
	}
	name := chosen.attr("name")
	var section *element
	for _, p := range head.all("plugin") {
		if p.attr("name") == name {
			section = p
			break
		}
	}
	makes := map[string]func(*element, *config.Hook) bool{
		"command": b.command, "socket": b.socket, "http": b.http, "refreshCDN": b.cdn,
	}
	fill, ok := makes[name]
	if !ok || section == nil {
		b.say(chosen.line, Warning, chosen.says("name"), "nothing is run", "there is no section for it, or sersync has no such plugin")
		return
	}
	h := config.NewHook(plain(name, "plugin"), map[string]string{"refreshCDN": config.HookCDN}[name])
	if h.Type == "" {
		h.Type = name
	}
	h.Scope = config.ScopeTarget
	if fill(section, &h) {
		spec.Hooks = append(spec.Hooks, h)
		b.say(chosen.line, Changed, chosen.says("name"), fmt.Sprintf("hooks: [{name: %s, ...}], once a slave has the path", h.Name),
			"it ran for each event, also when no slave had taken the file, and held the transfers up")
	}
}

func (b *builder) command(p *element, h *config.Hook) bool {
	param := p.first("param")
	h.Prefix, h.Suffix, h.Scope = param.attr("prefix"), param.attr("suffix"), config.ScopeAll
	if h.Prefix == "" {
		b.say(p.line, Warning, "<plugin name=\"command\">", "nothing is run", "<param prefix> is missing")
		return false
	}
	if param.attr("ignoreError") == "true" {
		b.say(param.line, Changed, param.says("ignoreError"), "failures are counted and logged", "it hid what the command printed")
	}
	b.say(param.line, Changed, param.says("prefix"), "words and path as arguments, no shell", "a name with a blank was two arguments, and one with a backtick was run")
	if f := p.first("filter"); f.on() {
		for _, i := range f.all("include") {
			h.IncludeRegex = append(h.IncludeRegex, i.attr("expression"))
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
	b.ownRoot(p)
	host := p.first("localpath", "deshost")
	h.Address, h.Format = net.JoinHostPort(host.attr("ip"), host.attr("port")), config.FormatPath
	return b.complete(p, host, "ip", "port")
}

func (b *builder) http(p *element, h *config.Hook) bool {
	b.ownRoot(p)
	host := p.first("localpath", "deshost")
	h.URL, h.Format = host.attr("url"), config.FormatForm
	if !strings.Contains(h.URL, "://") {
		h.URL = "http://" + h.URL
	}
	return b.complete(p, host, "url")
}

func (b *builder) cdn(p *element, h *config.Hook) bool {
	b.ownRoot(p)
	local := p.first("localpath")
	info, send, re := local.first("cdninfo"), local.first("sendurl"), local.first("regexurl")
	h.Template, h.User, h.SecretEnv, h.Base = "chinacache", info.attr("username"), "SYNCAGENT_CDN_PASSWORD", send.attr("base")
	h.Scope = config.ScopeAll
	if domain := info.attr("domainname"); domain != "" {
		u := url.URL{Scheme: "http", Host: domain, Path: "/index.jsp"}
		if port := info.attr("port"); port != "" && port != "80" {
			u.Host = net.JoinHostPort(domain, port)
		}
		h.URL = u.String()
	}
	if re.attr("regex") == "true" {
		h.Match = re.attr("match")
	}
	if !b.complete(p, info, "username") || !b.complete(p, send, "base") {
		return false
	}
	b.say(info.line, Changed, "<cdninfo passwd>", "secret_env: SYNCAGENT_CDN_PASSWORD, which has to be set for the agent",
		"a password does not stand in a configuration that others may read")
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
