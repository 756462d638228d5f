package doctor

import (
	"context"
	"errors"

	"syncagent/agent/config"
	"syncagent/agent/rsync"
)

func sshDest(t config.Target) rsync.Dest {
	s := t.SSH
	return rsync.Dest{Host: t.Host, Dir: t.Dir, SSH: &rsync.SSH{
		User: s.User, Port: s.Port, KeyFile: s.KeyFile, KnownHosts: s.KnownHosts, Options: s.Options,
	}}
}

// overSSH asks a slave that runs no daemon: a dry run tells of the name, the host
// key, the user's key, the rsync over there and the directory at once.
func (o Options) overSSH(ctx context.Context, group []*visit) []Finding {
	var list []Finding
	for _, v := range group {
		v.err = o.login(ctx, v)
		var e *rsync.Error
		if errors.As(v.err, &e) && e.Class == rsync.Auth {
			list = append(list, about{"login", v.name()}.fail(e.Hint, "%s: %s", v.dest, cause(e)))
			continue
		}
		list = append(list, o.judgeLogin(v, false)...)
	}
	return list
}
