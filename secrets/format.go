package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// User is one line of the daemon's secrets file.
type User struct {
	Name   string
	Secret Secret
}

// RenderClient returns the content of a client password file.
func RenderClient(s Secret) []byte { return []byte(s.Reveal() + "\n") }

// RenderServer returns the content of a daemon's secrets file, the users in
// the order given. The names must have passed CheckUser.
func RenderServer(users []User) []byte {
	var b bytes.Buffer
	for _, u := range users {
		b.WriteString(u.Name + ":" + u.Secret.Reveal() + "\n")
	}
	return b.Bytes()
}

// ParseServer reads a daemon's secrets file. Empty lines and comments are
// skipped; a line rsync could never match is an error with its number, because
// it only shows as a refused login otherwise. No error holds a line's text.
func ParseServer(data []byte) ([]User, error) {
	var users []User
	seen := map[string]int{}
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		u, err := parseUser(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if first := seen[u.Name]; first != 0 {
			return nil, fmt.Errorf("line %d: user %q stands in line %d already, and rsync tries the first alone: remove one", i+1, u.Name, first)
		}
		seen[u.Name] = i + 1
		users = append(users, u)
	}
	return users, nil
}

func parseUser(line string) (User, error) {
	name, password, found := strings.Cut(line, ":")
	if !found {
		return User{}, errors.New("no colon: write user:password")
	}
	// What stands there may be half a password, so it is not repeated.
	if CheckUser(name) != nil {
		return User{}, errors.New("the user name before the colon cannot be used: write user:password, without blanks around the user")
	}
	s, err := New(password)
	if err != nil {
		return User{}, err
	}
	return User{Name: name, Secret: s}, nil
}
