package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"syncagent/secrets"
)

// Template is one form of purge request. Its texts hold placeholders; one with
// {url} in it is a request for each path, one with {urls} a request for up to Most
// of them.
type Template struct {
	Method  string
	URL     string
	Headers []string
	Body    string
	// Dirs is the body for directories, as prefixes without scheme in {urls};
	// "" purges a directory's own URL.
	Dirs string
	Most int
	// DirsKey is the query key for directories in place of urls.
	DirsKey string
	// Accepted looks at the answer's headers when a status is not all.
	Accepted func(http.Header) error
}

// Templates returns the ready ones by name. Sources: the vendors' API
// references; ChinaCache's is what sersync 2.5.4 sends.
func Templates() map[string]Template {
	return map[string]Template{
		"bunny": { // a URL with a slash at its end purges all that is below it
			Method:  http.MethodPost,
			URL:     "https://api.bunny.net/purge?url={url}",
			Headers: []string{"AccessKey: {secret}"},
		},
		"cloudflare": {
			Method:  http.MethodPost,
			URL:     "https://api.cloudflare.com/client/v4/zones/{zone}/purge_cache",
			Headers: []string{"Authorization: Bearer {secret}", "Content-Type: application/json"},
			Body:    `{"files":[{urls}]}`, Dirs: `{"prefixes":[{urls}]}`, Most: 30,
		},
		"fastly": {
			Method:  http.MethodPost,
			URL:     "https://api.fastly.com/purge/{bare}",
			Headers: []string{"Fastly-Key: {secret}", "Accept: application/json"},
		},
		"chinacache": {
			Method:  http.MethodHead,
			URL:     "http://ccms.chinacache.com/index.jsp?user={user}&pswd={secret}&ok=ok&urls={url}",
			DirsKey: "dirs", Accepted: whatsup,
		},
	}
}

// whatsup reads ChinaCache's answer: a header whose content begins with
// "succeed".
func whatsup(h http.Header) error {
	answer := h.Get("whatsup")
	if strings.Contains(answer, "succeed") {
		return nil
	}
	return fmt.Errorf("the CDN did not accept the request: whatsup is %.100q", answer)
}

// CDN purges what changed.
type CDN struct {
	Template Template
	Base     string         // URL of the module's root
	Match    *regexp.Regexp // nil: the path as it is; else group 1 of what matches it
	Append   string         // behind that
	Zone     string
	User     string
	Secret   Secret // nil: none
	Client   *http.Client
}

// PerPath implements PerPath.
func (c CDN) PerPath() bool { return !strings.Contains(c.Template.Body, "{urls}") }

// Run implements Runner.
func (c CDN) Run(ctx context.Context, e Event) error {
	secret := secrets.Secret{}
	if c.Secret != nil {
		var err error
		if secret, err = c.Secret(); err != nil {
			return err
		}
	}
	files, dirs := c.urls(e)
	if c.PerPath() {
		return c.each(ctx, e, secret, files, dirs)
	}
	if c.Template.Dirs == "" {
		files, dirs = append(files, dirs...), nil
	}
	err := c.lists(ctx, e, secret, c.Template.Body, files)
	for i, u := range dirs {
		_, dirs[i], _ = strings.Cut(u, "://")
	}
	return hopeful(err, c.lists(ctx, e, secret, c.Template.Dirs, dirs))
}

// hopeful is the error of two that another try may mend, if there is one.
func hopeful(a, b error) error {
	if a == nil || b != nil && errors.As(a, new(Permanent)) && !errors.As(b, new(Permanent)) {
		return b
	}
	return a
}

// urls maps the paths to URLs.
func (c CDN) urls(e Event) (files, dirs []string) {
	for _, p := range e.Paths {
		rel := string(p.Path)
		switch {
		case c.Match != nil:
			m := c.Match.FindStringSubmatch(rel)
			if m == nil {
				continue
			}
			files = append(files, join(c.Base, m[min(1, len(m)-1)]+c.Append))
		case p.Dir || p.Op == Tree:
			dirs = append(dirs, strings.TrimSuffix(join(c.Base, rel), "/")+"/")
		default:
			files = append(files, join(c.Base, rel))
		}
	}
	return files, dirs
}

// join appends a path to the base, each component escaped.
func join(base, rel string) string {
	parts := strings.Split(strings.TrimPrefix(rel, "/"), "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.TrimSuffix(base, "/") + "/" + strings.Join(parts, "/")
}

// each sends a request for each URL.
func (c CDN) each(ctx context.Context, e Event, secret secrets.Secret, files, dirs []string) error {
	for i, u := range append(files, dirs...) {
		t := c.Template
		if i >= len(files) && t.DirsKey != "" {
			t.URL = strings.Replace(t.URL, "urls={url}", t.DirsKey+"={url}", 1)
		}
		values := c.values(e, secret)
		values["{url}"] = u
		_, values["{bare}"], _ = strings.Cut(u, "://")
		if err := c.send(ctx, t, t.Body, values); err != nil {
			return err
		}
	}
	return nil
}

// lists sends the URLs in portions; one that is refused holds back none of the
// others.
func (c CDN) lists(ctx context.Context, e Event, secret secrets.Secret, body string, urls []string) error {
	most := c.Template.Most
	if most <= 0 {
		most = 30
	}
	var failed error
	for len(urls) > 0 {
		n := min(most, len(urls))
		quoted, err := json.Marshal(urls[:n])
		if err != nil {
			return Permanent{fmt.Errorf("encode URLs: %w", err)}
		}
		values := c.values(e, secret)
		values["{urls}"] = strings.TrimSuffix(strings.TrimPrefix(string(quoted), "["), "]")
		failed = hopeful(failed, c.send(ctx, c.Template, body, values))
		urls = urls[n:]
	}
	return failed
}

func (c CDN) values(e Event, secret secrets.Secret) map[string]string {
	v := words(e)
	v["{zone}"], v["{user}"], v["{secret}"] = c.Zone, c.User, secret.Reveal()
	return v
}

func (c CDN) send(ctx context.Context, t Template, body string, values map[string]string) error {
	r := request{secret: values["{secret}"], method: t.Method, url: expand(t.URL, values, inURL(t.URL)), body: []byte(expand(body, values, inBody(body)))}
	for _, line := range t.Headers {
		r.headers = append(r.headers, expand(line, values, inHeader))
	}
	answer, err := r.do(ctx, c.Client)
	if err == nil && t.Accepted != nil {
		err = t.Accepted(answer)
	}
	return err
}

// inHeader makes a name fit for a header, which holds one line.
func inHeader(_, value string) string {
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; c < ' ' || c == 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(value[i])
	}
	return b.String()
}

// inURL makes values fit for a URL: the URL that is purged may be the whole of
// it, or the end of a path, or a value of the query like all else.
func inURL(text string) func(key, value string) string {
	return func(key, value string) string {
		switch {
		case key == "{bare}", key == "{url}" && strings.HasPrefix(text, "{url}"):
			return value
		case key == "{rel}":
			return strings.TrimPrefix(join("", value), "/")
		}
		return url.QueryEscape(value)
	}
}

// inBody makes values fit for JSON where a body is that.
func inBody(text string) func(key, value string) string {
	text = strings.TrimSpace(text)
	isJSON := strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[")
	return func(key, value string) string {
		quoted, err := json.Marshal(value)
		if !isJSON || key == "{urls}" || err != nil {
			return value
		}
		return string(quoted[1 : len(quoted)-1])
	}
}
