package hook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"syncagent/secrets"
)

// SignatureHeader holds "sha256=" and the HMAC-SHA256 of the body in hex, under
// the hook's secret.
const SignatureHeader = "X-Syncagent-Signature"

// DeliveryHeader holds what is the same for each try of one event.
const DeliveryHeader = "X-Syncagent-Delivery"

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 64 << 10

// Secret returns a hook's secret. It is asked before each request, so that a
// file which was replaced counts at once.
type Secret func() (secrets.Secret, error)

// HTTP posts an event as JSON, or with Form each path as a form.
type HTTP struct {
	URL     string
	Headers []string // Name: value; {secret} in one is the secret
	Form    bool
	Secret  Secret // nil: none; else it signs, unless a header has it
	Client  *http.Client
}

// NewClient returns a client that follows no redirect: a POST would become a GET
// without its body, and a secret would go elsewhere.
func NewClient() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			IdleConnTimeout:       30 * time.Second,
			MaxIdleConnsPerHost:   1,
			ResponseHeaderTimeout: 0, // the hook's own time-out
			ForceAttemptHTTP2:     true,
		},
	}
}

// PerPath implements PerPath.
func (h HTTP) PerPath() bool { return h.Form }

// Run implements Runner.
func (h HTTP) Run(ctx context.Context, e Event) error {
	if h.Form && len(e.Paths) > 0 {
		return h.post(ctx, e, "application/x-www-form-urlencoded", []byte(form(e, e.Paths[0])))
	}
	body, err := e.encode()
	if err != nil {
		return Permanent{fmt.Errorf("encode event: %w", err)}
	}
	return h.post(ctx, e, "application/json", body)
}

func (h HTTP) post(ctx context.Context, e Event, kind string, body []byte) error {
	r := request{
		method: http.MethodPost, url: h.URL, body: body,
		headers: append([]string{"Content-Type: " + kind, DeliveryHeader + ": " + e.delivery}, h.Headers...),
	}
	if h.Secret != nil {
		secret, err := h.Secret()
		if err != nil {
			return err
		}
		r.secret = secret.Reveal()
		r.headers = authorized(r.headers, secret, body)
	}
	_, err := r.do(ctx, h.Client)
	return err
}

// authorized puts the secret where a header asks for it; where none does, the body is
// signed.
func authorized(headers []string, secret secrets.Secret, body []byte) []string {
	asked := false
	for i, line := range headers {
		asked = asked || strings.Contains(line, "{secret}")
		headers[i] = strings.ReplaceAll(line, "{secret}", secret.Reveal())
	}
	if asked {
		return headers
	}
	return append(headers, SignatureHeader+": "+Sign(secret, body))
}

// Sign returns the value of SignatureHeader for a body.
func Sign(s secrets.Secret, body []byte) string {
	mac := hmac.New(sha256.New, []byte(s.Reveal()))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// The event masks that sersync's form tells (inotify(7)).
const (
	maskAttrib     = 0x4
	maskCloseWrite = 0x8
	maskCreate     = 0x100
	maskDelete     = 0x200
	maskDir        = 0x40000000
)

// form is the body of sersync's http plugin, in its order, but encoded.
func form(e Event, p Path) string {
	mask, dir := maskCloseWrite, "0"
	switch {
	case p.Op == Delete:
		mask = maskDelete
	case p.Op == Attrs:
		mask = maskAttrib
	case p.Dir:
		mask = maskCreate
	}
	if p.Dir {
		mask, dir = mask|maskDir, "1"
	}
	return fmt.Sprintf("watchroot=%s&isdir=%s&inotifyPath=%s&mask=%d", url.QueryEscape(e.Root), dir, url.QueryEscape(e.Abs(p.Path)), mask)
}

// request is one request whose URL and headers may hold a secret; no error
// repeats them, and none repeats the secret where the server does: many show the
// URL that they refuse.
type request struct {
	method, url string
	headers     []string
	body        []byte
	secret      string // "" when there is none
}

// clean is a text of the server without the secret.
func (r request) clean(text string) string {
	if r.secret == "" {
		return text
	}
	quoted := strconv.Quote(r.secret)
	return strings.NewReplacer(
		r.secret, "********", url.QueryEscape(r.secret), "********", url.PathEscape(r.secret), "********",
		html.EscapeString(r.secret), "********", quoted[1:len(quoted)-1], "********",
	).Replace(text)
}

func (r request) do(ctx context.Context, client *http.Client) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, strings.NewReader(string(r.body)))
	if err != nil {
		return nil, Permanent{errors.New("the URL of the hook cannot be used: look at url and base")}
	}
	for _, line := range r.headers {
		name, value, _ := strings.Cut(line, ":")
		req.Header.Set(name, strings.TrimSpace(value))
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	answer, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, req.URL.Host, plain(err))
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer)) // what it says only adds to its status
	if answer.StatusCode/100 == 2 {
		for _, values := range answer.Header {
			for i := range values {
				values[i] = r.clean(values[i])
			}
		}
		return answer.Header, nil
	}
	said := tail{[]byte(r.clean(string(text)))}
	err = fmt.Errorf("%s %s: answered %s%s", r.method, req.URL.Host, r.clean(answer.Status), said.quoted())
	if permanent(answer.StatusCode) {
		err = Permanent{err}
	}
	return nil, err
}

// plain is the error without the URL, which may hold a secret.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// permanent reports whether an answer would be the same again.
func permanent(code int) bool {
	again := code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code == http.StatusTooEarly || code == http.StatusConflict || code == http.StatusLocked
	return code < 500 && !again
}
