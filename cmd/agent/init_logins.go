package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"syncagent/agent/config"
	"syncagent/secrets"
)

// logins finds the password of every user of a slave: as given, or as it stands
// in the secrets file. Where nothing was given for anybody the file stays as it
// is, unless it has to name exactly these.
func (r *initRun) logins(c *config.Receiver) error {
	given, err := r.secret(c.Auth.SecretsFile)
	if err != nil {
		return err
	}
	there, err := r.usersIn(c.Auth.SecretsFile)
	if err != nil {
		return err
	}
	if given.Empty() && len(r.others) == 0 && (!r.exact || sameUsers(there, c.Auth.Users())) {
		return nil
	}
	known := map[string]secrets.Secret{}
	for _, u := range append(there, r.others...) {
		known[u.Name] = u.Secret
	}
	if !given.Empty() {
		known[c.Auth.User] = given
	}
	for i, name := range c.Auth.Users() {
		s, ok := known[name]
		switch {
		case !ok:
			return usage("user %s has no password in %s: give --password-file FILE", name, c.Auth.SecretsFile)
		case i == 0:
			r.wanted.Secret = s
		default:
			r.wanted.Others = append(r.wanted.Others, secrets.User{Name: name, Secret: s})
		}
	}
	return nil
}

// usersIn reads the secrets file as it stands. Nobody stands in one that is not
// there or not well formed: the second is said by Validate, where it is kept.
func (r *initRun) usersIn(file string) ([]secrets.User, error) {
	data, err := os.ReadFile(r.inRoot(file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read secrets file: %w", err)
	}
	users, err := secrets.ParseServer(data)
	if err != nil {
		users = nil
	}
	return users, nil
}

func sameUsers(have []secrets.User, want []string) bool {
	if len(have) != len(want) {
		return false
	}
	for i, u := range have {
		if u.Name != want[i] {
			return false
		}
	}
	return true
}
