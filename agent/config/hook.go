package config

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"syncagent/agent/filter"
	"syncagent/agent/tree"
	"syncagent/secrets"
)

// The values of Hook.Type, When, Scope and Format.
const (
	HookCommand = "command"
	HookSocket  = "socket"
	HookHTTP    = "http"
	HookCDN     = "cdn"

	WhenSuccess = "success"
	WhenFailure = "failure"
	WhenAlways  = "always"

	ScopeTarget = "target" // each path by itself, once a target
	ScopeAll    = "all"    // once, when every target of the module has it
	ScopeBatch  = "batch"  // the list of a push, once a target

	FormatJSON = "json" // socket: a line of JSON a push; http: an object
	FormatPath = "path" // socket: the bare absolute path, a connection each
	FormatForm = "form" // http: one url-encoded form a path
)

// Hook is what runs after a push, or after a change of a target's state. NewHook
// has its defaults. Which of the keys from Command on count is a matter of Type;
// Validate refuses the others.
type Hook struct {
	Name  string // unique in its list
	Type  string // command, socket, http or cdn
	When  string // success, failure or always
	Scope string // target, all or batch
	// Include are filter rules, the first match wins; what no rule matches is
	// included when none of them is a "+" rule.
	Include []string
	// IncludeRegex are expressions of package regexp, of which one has to match
	// the whole absolute path; none lets all through.
	IncludeRegex []string
	Timeout      Duration // of one run
	Retries      int      // after the first try
	Queue        int      // paths that wait at most
	After        Duration // on_state: how long it lasts before the hook runs

	Command []string // command: argument list with {placeholders}
	Prefix  string   // command: instead, words before the absolute path
	Suffix  string   // command: words behind it

	Address string // socket: host:port, or unix: and an absolute path
	Format  string // socket: json or path; http: json or form

	URL        string   // http, and cdn of your own
	Method     string   // cdn of your own
	Headers    []string // http, cdn: Name: value
	Body       string   // cdn of your own
	SecretFile string   // http: signs; cdn: {secret}
	SecretEnv  string   // the environment variable, instead
	// Secret is what whoever made the configuration gave, before both. It stands in
	// no file and no encoding.
	Secret secrets.Secret

	Template string // cdn: a ready one, "" is of your own
	Base     string // cdn: URL of the module's root
	Zone     string // cdn: zone or service, {zone}
	User     string // cdn: {user}
	Match    string // cdn: expression; what its group 1 matches goes behind base
	Append   string // cdn: behind what Match gave
}

// NewHook returns a hook with its defaults.
func NewHook(name, kind string) Hook {
	return Hook{
		Name: name, Type: kind, When: WhenSuccess, Scope: ScopeBatch,
		Timeout: 30 * Second, Retries: 2, Queue: 1000, After: 5 * Minute,
	}
}

// CDNTemplates are the ready values of Hook.Template.
func CDNTemplates() []string { return []string{"bunny", "chinacache", "cloudflare", "fastly"} }

// hookFields are the keys of one hook; those of a state hook are fewer.
func hookFields(h *Hook, state bool) []field {
	var which []field
	if state {
		which = []field{span("after", &h.After, "how long a target is blocked or in backoff before the hook runs")}
	} else {
		which = []field{
			text("when", &h.When, enum("", WhenSuccess, WhenFailure, WhenAlways), "after which pushes: success, failure or always"),
			text("scope", &h.Scope, enum("", ScopeTarget, ScopeAll, ScopeBatch), "target: each path once a target; all: when all targets have it; batch: the list of a push"),
			{name: "include", doc: "filter rules; with a `+` rule among them what no rule matches is left out", list: &listField{p: &h.Include, check: filterRule}},
			{name: "include_regex", doc: "instead, expressions of which one matches the whole absolute path", list: &listField{p: &h.IncludeRegex, check: expression}},
		}
	}
	head := []field{
		text("name", &h.Name, moduleName, "for status and log, unique in its list"),
		text("type", &h.Type, enum("", HookCommand, HookSocket, HookHTTP, HookCDN), "command, socket, http or cdn"),
	}
	limits := []field{
		span("timeout", &h.Timeout, "of one run"),
		number("retries", &h.Retries, 0, 100, "after a run that failed"),
		number("queue", &h.Queue, 1, 1_000_000, "paths that wait at most; more are dropped and counted"),
	}
	return slices.Concat(head, which, limits, hookTypeFields(h))
}

// hookTypeFields are the keys that belong to one type or two.
func hookTypeFields(h *Hook) []field {
	return []field{
		{name: "command", doc: "command: program and arguments, with `{placeholders}`", list: &listField{p: &h.Command, check: anyText}},
		text("prefix", &h.Prefix, anyText, "command: instead, words before the absolute path"),
		text("suffix", &h.Suffix, anyText, "command: words behind it"),
		text("address", &h.Address, hookAddress, "socket: host:port, or unix:/path"),
		text("format", &h.Format, enum("", "", FormatJSON, FormatPath, FormatForm), "socket: json or path; http: json or form; left out: json"),
		text("url", &h.URL, hookURL, "http: where to; cdn: of your own template"),
		text("method", &h.Method, httpMethod, "cdn: of your own template; left out: POST"),
		{name: "headers", doc: "http, cdn: further headers, each `Name: value`; `{secret}` in one is the secret", list: &listField{p: &h.Headers, check: httpHeader}},
		text("body", &h.Body, bodyText, "cdn: of your own template"),
		text("secret_file", &h.SecretFile, optionalPath, "http: signs the body, unless a header has `{secret}`; cdn: `{secret}`; file of one line, mode 0600"),
		text("secret_env", &h.SecretEnv, environmentName, "instead, name of an environment variable"),
		text("template", &h.Template, enum("", append(CDNTemplates(), "")...), "cdn: bunny, chinacache, cloudflare or fastly; left out: of your own"),
		text("base", &h.Base, hookURL, "cdn: URL of the module's root"),
		text("zone", &h.Zone, anyText, "cdn: zone or service, `{zone}`"),
		text("user", &h.User, anyText, "cdn: `{user}`"),
		text("match", &h.Match, expression, "cdn: expression on the path; its group 1 goes behind base"),
		text("append", &h.Append, anyText, "cdn: what goes behind that"),
	}
}

// hooksField is a list of hooks.
func hooksField(hooks *[]Hook, state bool) *customField {
	return &customField{
		decode: func(d *decoder, key string, n *yaml.Node) {
			if n.Kind != yaml.SequenceNode {
				if !isNull(n) {
					d.fault(key, n, problem{"must be a list, not " + kindOf(n), "write a line of - {name: N, type: T} for each"})
				}
				return
			}
			for _, item := range n.Content {
				if !d.spend(key, item) {
					return
				}
				if h, ok := d.hook(key, resolve(item), state); ok {
					d.origin.lines[join(key, h.Name)] = item.Line
					*hooks = append(*hooks, h)
				}
			}
		},
		encode: func() *yaml.Node { return encodeHooks(*hooks, state) },
	}
}

func (d *decoder) hook(key string, n *yaml.Node, state bool) (Hook, bool) {
	h := NewHook("", "")
	// The entries of a list share their keys, so each has its own lines.
	sub := &decoder{origin: origin{file: d.origin.file, lines: map[string]int{}}, nodes: d.nodes}
	sub.fields(key, n, hookFields(&h, state))
	d.faults, d.nodes = append(d.faults, sub.faults...), sub.nodes
	if h.Name == "" && len(sub.faults) == 0 {
		d.fault(key, n, problem{"an entry has no name", "write {name: N, type: command, ...}"})
	}
	return h, h.Name != ""
}

func encodeHooks(hooks []Hook, state bool) *yaml.Node {
	if len(hooks) == 0 {
		return nil
	}
	n := encodeList(nil)
	n.Style = 0
	for _, h := range hooks {
		n.Content = append(n.Content, dropEmpty(encodeFields(hookFields(&h, state))))
	}
	return n
}

// Matcher compiles what the hook includes, for paths of a module whose root is
// the given directory. dir says whether the path is a directory.
func (h *Hook) Matcher(root string) (func(p tree.Path, dir bool) bool, error) {
	rules, err := filter.Compile(h.Include)
	if err != nil {
		return nil, fmt.Errorf("hook %s: include: %w", h.Name, err)
	}
	catchAll, err := filter.Compile(restRule(h.Include))
	if err != nil {
		return nil, fmt.Errorf("hook %s: include: %w", h.Name, err)
	}
	var list []*regexp.Regexp
	for _, text := range h.IncludeRegex {
		re, err := fullMatch(text)
		if err != nil {
			return nil, fmt.Errorf("hook %s: include_regex: %w", h.Name, err)
		}
		list = append(list, re)
	}
	return func(p tree.Path, dir bool) bool {
		full := path.Join(root, string(p))
		some := len(list) == 0 || slices.ContainsFunc(list, func(re *regexp.Regexp) bool { return re.MatchString(full) })
		return some && !excludedAbove(rules, p) && !catchAll.ExcludesEntry(p, dir)
	}, nil
}

// restRule is the rules and, when one of them includes, a last one that leaves
// out what none matched.
func restRule(lines []string) []string {
	including := func(line string) bool { return strings.HasPrefix(line, "+") || strings.HasPrefix(line, "include") }
	if slices.ContainsFunc(lines, including) {
		return append(slices.Clone(lines), "- *")
	}
	return lines
}

// excludedAbove reports whether a rule excludes a directory above p: what no
// rule matches there is no reason, the path itself may be included.
func excludedAbove(rules *filter.Rules, p tree.Path) bool {
	above := p.Parent()
	return above != tree.Root && rules.Excludes(above, true)
}

func fullMatch(text string) (*regexp.Regexp, error) {
	return regexp.Compile(`(?s)\A(?:` + text + `)\z`)
}

// expression takes what package regexp understands.
func expression(text string) (string, *problem) {
	if text, bad := anyText(text); bad != nil {
		return text, bad
	}
	if _, err := fullMatch(text); err != nil {
		return "", &problem{"expression " + quote(text) + ": " + err.Error(), "write it in the syntax of RE2, without look-around"}
	}
	return text, nil
}

// hookAddress is host:port or unix:/path.
func hookAddress(text string) (string, *problem) {
	if text == "" {
		return "", nil
	}
	if file, ok := strings.CutPrefix(text, "unix:"); ok {
		file, bad := socketPath(file)
		return "unix:" + file, bad
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" || port == "" {
		return "", &problem{quote(text) + " is no address", "write host:port or unix:/path/to/socket"}
	}
	return text, nil
}

// hookURL is an http or https URL; it may hold placeholders.
func hookURL(text string) (string, *problem) {
	if text == "" || strings.HasPrefix(text, "{url}") {
		return anyText(text)
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", &problem{quote(text) + " is no URL", "write it out, as in https://hooks.example.com/pushed"}
	}
	if u.User != nil {
		return "", &problem{"the URL holds a user or password", "use secret_file or secret_env"}
	}
	return anyText(text)
}

func httpMethod(text string) (string, *problem) {
	if text != "" && !madeOf(text, "") {
		return "", &problem{quote(text) + " is no method", "write POST, PURGE or the like"}
	}
	return strings.ToUpper(text), nil
}

func httpHeader(text string) (string, *problem) {
	name, _, ok := strings.Cut(text, ":")
	if !ok || !madeOf(name, "-_") {
		return "", &problem{quote(text) + " is no header", "write Name: value"}
	}
	return anyText(text)
}

// bodyText takes lines.
func bodyText(text string) (string, *problem) {
	if strings.ContainsRune(text, 0) {
		return "", &problem{"the body holds a NUL", "write text"}
	}
	return text, nil
}

func optionalPath(text string) (string, *problem) {
	if text == "" {
		return "", nil
	}
	return absolute(text)
}

func environmentName(text string) (string, *problem) {
	if text != "" && !madeOf(text, "_") {
		return "", &problem{quote(text) + " is no name of an environment variable", "write letters, digits and _"}
	}
	return text, nil
}
