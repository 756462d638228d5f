package status

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// ErrNotRunning is wrapped when nothing answers on the socket.
var ErrNotRunning = errors.New("no agent is running")

// Client talks to a running agent over its socket.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client of the agent behind the socket; it connects when
// it is used.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{socket, &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status returns the agent's snapshot.
func (c *Client) Status(ctx context.Context) (Snapshot, error) {
	var s Snapshot
	return s, c.get(ctx, "/status", &s)
}

// Held lists what the guards hold back.
func (c *Client) Held(ctx context.Context, s Scope) ([]Held, error) {
	var held []Held
	q := url.Values{"module": {s.Module}, "target": {s.Target}}
	return held, c.get(ctx, "/held?"+q.Encode(), &held)
}

// Approve accepts what was shown under the digests.
func (c *Client) Approve(ctx context.Context, req ApproveRequest) error {
	body, err := c.do(ctx, http.MethodPost, "/approve", req)
	if err != nil {
		return err
	}
	return body.Close()
}

// Sync asks for a sweep and calls tell for each line of progress until the
// agent says that all is done.
func (c *Client) Sync(ctx context.Context, req SyncRequest, tell func(SyncUpdate)) error {
	return stream(ctx, c, "/sync", req, tell)
}

// stream calls tell with each line of an answer until it ends.
func stream[T any](ctx context.Context, c *Client, path string, req any, tell func(T)) error {
	body, err := c.do(ctx, http.MethodPost, path, req)
	if err != nil {
		return err
	}
	defer body.Close()
	for dec := json.NewDecoder(body); ; {
		var u T
		if err := dec.Decode(&u); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read progress from %s: %w", c.socket, err)
		}
		tell(u)
	}
}

func post[T any](ctx context.Context, c *Client, path string, req any) (v T, err error) {
	body, err := c.do(ctx, http.MethodPost, path, req)
	if err != nil {
		return v, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&v); err != nil {
		return v, fmt.Errorf("read answer from %s: %w", c.socket, err)
	}
	return v, nil
}

func (c *Client) get(ctx context.Context, path string, v any) error {
	body, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return fmt.Errorf("read answer from %s: %w", c.socket, err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, v any) (io.ReadCloser, error) {
	payload, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if res.StatusCode >= 300 {
		defer res.Body.Close()
		if res.StatusCode == http.StatusNotFound {
			return nil, ErrUnknown
		}
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return nil, errors.New(strings.TrimSpace(string(text)))
	}
	return res.Body, nil
}

func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch {
	case errors.Is(err, net.ErrClosed), isDial(err):
		return fmt.Errorf("connect to socket %s: %w: start it with \"agent run\"", c.socket, ErrNotRunning)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("connect to socket %s: %w: ask as root, or as the user whom the agent runs as", c.socket, os.ErrPermission)
	}
	var request *url.Error
	if errors.As(err, &request) { // its method and address are ours alone
		err = request.Err
	}
	return fmt.Errorf("ask agent on socket %s: %w: look at its log, and ask again", c.socket, err)
}

// isDial reports whether err arose while connecting. No permission is another
// matter than nobody there.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && !errors.Is(err, os.ErrPermission)
}
