package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// Verdict is what a daemon answers to a login.
type Verdict int

// The values of Verdict. A daemon with "list = no" gives one answer to a
// stranger's address and to a name it does not know.
const (
	Unclear    Verdict = iota // no answer of the kinds below
	Accepted                  // in, the module's path and user included
	AuthFailed                // the name or the password
	Denied                    // the address, or there is no such module
)

func (v Verdict) String() string {
	return [...]string{"unclear", "accepted", "auth failed", "denied or unknown module"}[v]
}

// ErrBusy is wrapped by what Access returns while all of a module's connections
// are taken; ask again later.
var ErrBusy = errors.New("the daemon is busy")

// Login is what a client shows to a daemon.
type Login struct {
	Module   string
	User     string
	Password string
	From     netip.Addr // the client's address
}

// String leaves out the password.
func (l Login) String() string {
	return fmt.Sprintf("%s@%s to module %s", l.User, l.From, l.Module)
}

// GoString leaves out the password too.
func (l Login) GoString() string { return l.String() }

const (
	answerOK     = "@RSYNCD: OK"
	answerAuth   = "@RSYNCD: AUTHREQD "
	answerExit   = "@RSYNCD: EXIT"
	answerError  = "@ERROR: "
	maxGreetings = 10000 // lines of a message of the day
)

// Access asks the daemon bin what it answers to l when it serves confFile.
// An error comes with Unclear and holds the daemon's words if there were any;
// a path that is not there, or a user it cannot become, is such an error.
// Nothing is transferred, nothing is logged.
func Access(ctx context.Context, bin, confFile string, l Login) (Verdict, error) {
	if f, err := os.Open(confFile); err != nil {
		return Unclear, fmt.Errorf("probe login of %s: %w", l, err)
	} else {
		_ = f.Close()
	}
	s, err := start(ctx, bin, []string{"REMOTE_HOST=" + l.From.String()},
		"--server", "--daemon", "--config="+confFile, "--log-file=/dev/null", ".")
	if err != nil {
		return Unclear, err
	}
	v, err := s.login(l)
	if v == Accepted {
		s.drop()
	}
	s.close()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return Unclear, fmt.Errorf("probe login of %s: %w%s", l, err, s.lastWords())
	}
	return v, nil
}

func (s *session) lastWords() string {
	if words := strings.TrimSpace(s.stderr.String()); words != "" {
		return ": " + strings.ReplaceAll(words, "\n", "; ")
	}
	return ""
}

func (s *session) login(l Login) (Verdict, error) {
	line, err := s.line()
	if err != nil {
		return Unclear, err
	}
	g, err := parseGreeting(line)
	if err != nil {
		return Unclear, err
	}
	return s.enter(g, l)
}

func (s *session) enter(g greeting, l Login) (Verdict, error) {
	if err := errors.Join(s.send(g.reply()), s.send(l.Module)); err != nil {
		return Unclear, err
	}
	for range maxGreetings {
		line, err := s.line()
		if err != nil {
			return Unclear, err
		}
		challenge, asked := strings.CutPrefix(line, answerAuth)
		if !asked {
			if v, answered, err := verdict(line); answered {
				return v, err
			}
			continue // the message of the day
		}
		if err := s.send(l.User + " " + g.digest.response(l.Password, challenge)); err != nil {
			return Unclear, err
		}
	}
	return Unclear, errors.New("the daemon does not stop greeting")
}

// verdict reads a line of the daemon, which may be no answer.
func verdict(line string) (v Verdict, answered bool, err error) {
	if line == answerOK {
		return Accepted, true, nil
	}
	if line == answerExit {
		return Unclear, true, errors.New("the daemon ended the session")
	}
	words, failed := strings.CutPrefix(line, answerError)
	switch {
	case !failed:
		return Unclear, false, nil
	case strings.HasPrefix(words, "auth failed"):
		return AuthFailed, true, nil
	case strings.HasPrefix(words, "Unknown module"), strings.HasPrefix(words, "access denied"):
		return Denied, true, nil
	case strings.HasPrefix(words, "max connections"):
		return Unclear, true, fmt.Errorf("%w: %s", ErrBusy, words)
	}
	return Unclear, true, fmt.Errorf("the daemon says %q", words)
}
