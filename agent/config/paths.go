package config

import "path/filepath"

// Paths are where the files of one role stand; those of the other role are
// empty.
type Paths struct {
	Config       string // agent.yaml or receiver.yaml
	State        string // a directory, both roles of one host share it
	Socket       string // master
	PasswordFile string // master, the client password file
	RsyncdConf   string // slave
	SecretsFile  string // slave, the daemon's secrets file
}

// DefaultPaths returns the files of a self-contained instance in dir, or those
// of the host when dir is "".
func DefaultPaths(role Role, dir string) Paths {
	etc, state, run := dir, filepath.Join(dir, "state"), dir
	if dir == "" {
		etc, state, run = "/etc/syncagent", "/var/lib/syncagent", "/run/syncagent"
	}
	if role == RoleSlave {
		return Paths{
			Config:      filepath.Join(etc, "receiver.yaml"),
			State:       state,
			RsyncdConf:  filepath.Join(etc, "rsyncd.conf"),
			SecretsFile: filepath.Join(etc, "rsyncd.secrets"),
		}
	}
	return Paths{
		Config:       filepath.Join(etc, "agent.yaml"),
		State:        state,
		Socket:       filepath.Join(run, "agent.sock"),
		PasswordFile: filepath.Join(etc, "rsync.pass"),
	}
}
