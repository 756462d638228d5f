package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"syncagent/rsyncd"
	"syncagent/rsyncd/probe"
	"syncagent/secrets"
)

const remedyRewrite = "reload the receiver if its configuration is newer than the file; if the file was edited by hand, \"agent init slave --force\" replaces it"

// conf judges the daemon's configuration: who may change it, whether the daemon
// itself reads it without complaint, and whether it is what receiver.yaml asks
// for. What it returns is nil unless the file can be trusted to be understood.
func (s *slave) conf(ctx context.Context) (*rsyncd.Conf, []Finding) {
	a := about{"conf", s.c.ConfFile}
	data, err := os.ReadFile(s.c.ConfFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, []Finding{a.warn("run \"agent init slave\", or start the receiver", "not written yet")}
	}
	if err != nil {
		return nil, []Finding{a.fail("make it readable, or ask as root", "%v", err)}
	}
	list := []Finding{private(a, s.c.ConfFile, "whom the daemon lets in")}
	conf, err := rsyncd.Parse(data)
	if err != nil {
		return nil, append(list, a.fail(remedyRewrite, "%v", err))
	}
	if err := s.Daemon.Check(ctx, data); err != nil {
		return nil, append(list, parserSays(a, err))
	}
	return &conf, append(list, s.compare(ctx, a, conf, data))
}

func parserSays(a about, err error) Finding {
	var refused *probe.RefusedError
	if errors.As(err, &refused) {
		return a.fail(remedyRewrite, "the daemon complains: %s", strings.Join(refused.Complaints, "; "))
	}
	return a.fail("see whether rsync is installed and can be started", "the daemon could not be asked: %v", err)
}

// compare finds the first line in which the file is not what the configuration
// asks for; when nobody knows what that is, the model alone judges.
func (s *slave) compare(ctx context.Context, a about, conf rsyncd.Conf, data []byte) Finding {
	if s.Wanted == nil {
		if err := conf.Validate(); err != nil {
			return a.fail(remedyRewrite, "%v", err)
		}
		return a.ok("the daemon takes it, and it lets in nobody but those it names")
	}
	want, err := s.Wanted(ctx, s.c, s.asRoot())
	if err != nil {
		return a.fail("mend the receiver's configuration", "cannot tell what it should hold: %v", err)
	}
	if !bytes.Equal(data, want) {
		return a.fail(remedyRewrite, "%s", firstDifference(string(data), string(want)))
	}
	return a.ok("the daemon takes it, and it is what the receiver's configuration asks for")
}

func firstDifference(have, want string) string {
	a, b := strings.Split(have, "\n"), strings.Split(want, "\n")
	line := func(lines []string, i int) string {
		if i < len(lines) {
			return fmt.Sprintf("%q", strings.TrimSpace(lines[i]))
		}
		return "nothing"
	}
	for i := range max(len(a), len(b)) {
		if x, y := line(a, i), line(b, i); x != y || i >= min(len(a), len(b)) {
			return fmt.Sprintf("line %d holds %s, the receiver's configuration asks for %s", i+1, x, y)
		}
	}
	return "it differs in blanks from what the receiver's configuration asks for"
}

// access has the daemon's own code say whom it lets into a module. It has to be
// asked as the user that runs it: another one is refused for other reasons.
func (s *slave) access(ctx context.Context, conf rsyncd.Conf, module string) Finding {
	a := about{"access", module}
	m, there := conf.Module(module)
	if !there {
		return a.fail(remedyRewrite, "%s has no module of this name", s.c.ConfFile)
	}
	if s.self != s.owner {
		return a.warn("ask as the user that runs the receiver", "cannot be tried by uid %d, since uid %d runs the receiver", s.self, s.owner)
	}
	for _, user := range s.c.Auth.Users() {
		password, err := s.password(user)
		if err != nil {
			return a.warn("mend the secrets file first", "cannot be tried without the password of user %s", user)
		}
		if err := s.Daemon.Guarded(ctx, s.c.ConfFile, m, user, password.Reveal()); err != nil {
			return a.fail("compare hosts allow, auth users and the secrets file; "+remedyRewrite, "%v", err)
		}
	}
	return a.ok("lets in user %s with the password, and neither a wrong password nor another host", strings.Join(s.c.Auth.Users(), " and "))
}

// passwords is what is wrong with the secrets file for any of the users.
func (s *slave) passwords() error {
	for _, user := range s.c.Auth.Users() {
		if err := s.Files.Secrets(s.c.Auth.SecretsFile, user); err != nil {
			return err
		}
	}
	return nil
}

var errNoUser = errors.New("no line for the user")

func (s *slave) password(user string) (secrets.Secret, error) {
	data, err := os.ReadFile(s.c.Auth.SecretsFile)
	if err != nil {
		return secrets.Secret{}, err
	}
	users, err := secrets.ParseServer(data)
	if err != nil {
		return secrets.Secret{}, err
	}
	for _, u := range users {
		if u.Name == user {
			return u.Secret, nil
		}
	}
	return secrets.Secret{}, errNoUser
}
