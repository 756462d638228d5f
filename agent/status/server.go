package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ErrInUse is wrapped by Listen when another process answers on the socket.
var ErrInUse = errors.New("another agent answers on it")

// Listen opens the unix socket for this user and group only. A socket that
// nobody answers on is what a killed agent left behind and is replaced.
func Listen(socket string) (net.Listener, error) {
	if answers(socket) {
		return nil, fmt.Errorf("listen on socket %s: %w: stop it, or give this one its own socket", socket, ErrInUse)
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return nil, fmt.Errorf("make directory of socket %s: %w", socket, err)
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove stale socket %s: %w", socket, err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listen on socket %s: %w", socket, err)
	}
	if err := os.Chmod(socket, 0o660); err != nil {
		l.Close()
		return nil, fmt.Errorf("set mode of socket %s: %w", socket, err)
	}
	return l, nil
}

const (
	stalePoll  = 50 * time.Millisecond
	stalePolls = 10
)

// answers reports whether somebody takes connections on the socket, and goes on
// doing so: an agent that was killed while it started a process lives on for a
// moment in what is to become that one.
func answers(socket string) bool {
	for range stalePolls {
		conn, err := net.DialTimeout("unix", socket, time.Second)
		if err != nil {
			return false
		}
		conn.Close()
		time.Sleep(stalePoll)
	}
	return true
}

// Serve answers requests on l until ctx ends, then waits for those under way.
// Requests see ctx end, so none outlives it for long.
func Serve(ctx context.Context, l net.Listener, a Agent) error { return serve(ctx, l, handler(a)) }

// ServeReaders is Serve for whoever reaches a network address: it tells how
// things are and takes no order.
func ServeReaders(ctx context.Context, l net.Listener, a Agent) error {
	return serve(ctx, l, readers(a))
}

func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { stopped <- shutdown(srv) })
	err := srv.Serve(l)
	if stop() {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return <-stopped
}

func shutdown(srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return srv.Close()
	}
	return nil
}

func readers(a Agent) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { reply(w, a.Snapshot()) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry(a), promhttp.HandlerOpts{}))
	return mux
}

func handler(a Agent) http.Handler {
	mux := readers(a)
	mux.HandleFunc("GET /held", func(w http.ResponseWriter, r *http.Request) { reply(w, a.Held(scope(r))) })
	mux.HandleFunc("POST /approve", approve(a))
	mux.HandleFunc("POST /sync", syncNow(a))
	operate(mux, a)
	return mux
}

func scope(r *http.Request) Scope {
	q := r.URL.Query()
	return Scope{Module: q.Get("module"), Target: q.Get("target")}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client is gone: nobody to tell
}

func approve(a Agent) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req ApproveRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := a.Approve(req); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// syncNow streams one JSON line an update.
func syncNow(a Agent) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req SyncRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		enc, flush := json.NewEncoder(w), http.NewResponseController(w)
		tell := func(u SyncUpdate) {
			_ = enc.Encode(u)
			_ = flush.Flush()
		}
		if err := a.Sync(r.Context(), req, tell); err != nil {
			tell(SyncUpdate{Done: true, Error: err.Error()})
		}
	}
}
