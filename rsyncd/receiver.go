package rsyncd

import "strings"

// Spec is what a receiver is asked to serve; Receiver turns it into the safe
// configuration.
type Spec struct {
	// Root says that the daemon will run as root. Without it there is no
	// chroot, no change of user, and links are stored munged.
	Root    bool
	Address string // "" is all of IPv4 and IPv6
	Port    int    // 0 is DefaultPort
	// User is the name the masters log in with; it needs no account.
	User        string
	Also        []string // further users, with the same rights
	SecretsFile string
	// Allow are the masters' addresses and prefixes, never names.
	Allow          []string
	MaxConnections int // a module; 0 is no limit
	Timeout        int // seconds without I/O; 0 is DefaultTimeout
	PIDFile        string
	LogFile        string // "" is syslog
	LockFile       string // "" is the daemon's default, which needs root
	// AuthDigest is the weakest digest accepted; set it only for a daemon of
	// rsync 3.5.0 or later, an older one does not know the parameter.
	AuthDigest string
	// Options are further client options to let through, without dashes.
	Options []string
	Modules []ModuleSpec
}

// ModuleSpec is one module of a Spec.
type ModuleSpec struct {
	Name, Path, Comment string
	// UID and GID are whom the module's processes become; "" is root. Without
	// Spec.Root they are left out.
	UID, GID string
	// NoChroot serves without chroot even as root: links are then munged.
	NoChroot bool
	ReadOnly bool
}

// DefaultTimeout in seconds ends a session whose master went away; a waiting
// connection has to be renewed before.
const DefaultTimeout = 300

// listenBacklog holds a burst of reconnecting masters: beyond it the kernel
// drops their first packets and each waits a second.
const listenBacklog = 128

// logFormat has the name last, because a name may hold anything.
const logFormat = "%o %i %m %u %a %l %b %n"

// Receiver builds the configuration that lets exactly the given masters push
// exactly our runs. Validate it before it is used.
func Receiver(s Spec) Conf {
	c := Conf{
		PIDFile:       s.PIDFile,
		LogFile:       s.LogFile,
		LockFile:      s.LockFile,
		Address:       s.Address,
		Port:          s.Port,
		SocketOptions: []string{"TCP_NODELAY"},
		ListenBacklog: listenBacklog,
	}
	if c.Port == 0 {
		c.Port = DefaultPort
	}
	for _, m := range s.Modules {
		c.Modules = append(c.Modules, s.module(m))
	}
	return c
}

func (s Spec) module(ms ModuleSpec) Module {
	m := Module{
		Name:            ms.Name,
		Path:            ms.Path,
		Comment:         ms.Comment,
		NumericIDs:      Yes,
		ReadOnly:        ms.ReadOnly,
		WriteOnly:       !ms.ReadOnly,
		AuthUsers:       s.rules(access(ms.ReadOnly)),
		AuthDigest:      s.AuthDigest,
		SecretsFile:     s.SecretsFile,
		StrictModes:     true,
		HostsAllow:      append([]string(nil), s.Allow...),
		HostsDeny:       []string{"*"},
		MaxConnections:  s.MaxConnections,
		Timeout:         s.Timeout,
		RefuseOptions:   refuse(s.Options),
		TransferLogging: true,
		LogFormat:       logFormat,
	}
	if m.Timeout == 0 {
		m.Timeout = DefaultTimeout
	}
	s.confine(&m, ms)
	if m.Chroot == Yes {
		m.RefuseOptions = append(m.RefuseOptions, optionOfRenames)
	}
	return m
}

// rules grant every user the same.
func (s Spec) rules(access string) []string {
	list := []string{s.User + access}
	for _, user := range s.Also {
		list = append(list, user+access)
	}
	return list
}

// access is what the user's rule grants: it overrides "read only", so it must
// say the same.
func access(readOnly bool) string {
	if readOnly {
		return ":ro"
	}
	return ":rw"
}

// confine keeps the module's processes below its path: by chroot, which alone
// stores links as they are, or else by munging the links.
func (s Spec) confine(m *Module, ms ModuleSpec) {
	m.Chroot, m.MungeSymlinks = Yes, No
	if !s.Root || ms.NoChroot {
		m.Chroot, m.MungeSymlinks = No, Yes
	}
	if !s.Root {
		return
	}
	m.UID, m.GID = ms.UID, ms.GID
	if m.UID == "" {
		m.UID = "root"
	}
	if m.GID == "" {
		m.GID = "root"
	}
}

// refuse is the closed list: everything is refused but what our own runs send.
func refuse(extra []string) []string {
	out := []string{"*"}
	for _, o := range append(strings.Fields(optionsOfPushes+" "+optionsOfUsers), extra...) {
		out = append(out, "!"+o)
	}
	return out
}

// The client options of our runs, tried one by one against rsync 3.5.0. "a"
// stands for all that --archive implies; "delete" has to be let through for
// --delete-missing-args.
const (
	// optionsOfPushes are what pushes of listed paths, sweeps and the dry runs
	// that list extras send.
	optionsOfPushes = "a R I c delete delete-during delete-missing-args force timeout modify-window max-delete"
	// optionOfRenames links what a module has under another name. Without chroot a
	// symbolic link of the module could lead it elsewhere.
	optionOfRenames = "!link-dest"
	// optionsOfUsers are what a module's configuration may add. --compress goes
	// by its other names when zlib is chosen.
	optionsOfUsers = "compress* old-compress new-compress bwlimit numeric-ids hard-links acls xattrs sparse" +
		" whole-file fsync partial partial-dir backup backup-dir suffix" +
		" executability preallocate block-size checksum-choice"
)
