package rsyncd

// DefaultPort is where an rsync daemon listens when its file names no port.
const DefaultPort = 873

// Conf is one rsyncd.conf. The zero Conf is not the daemon's default: start
// from NewConf or Receiver.
type Conf struct {
	PIDFile  string
	LogFile  string // "" is syslog
	LockFile string // holds the slots of "max connections"
	MOTDFile string
	Address  string // "" is all of IPv4 and IPv6
	Port     int    // 0 leaves it to the daemon: DefaultPort
	// SocketOptions are set on every accepted connection, as in "TCP_NODELAY".
	SocketOptions []string
	ListenBacklog int // 0 leaves it to the daemon: 5
	// ReverseLookup asks DNS for the name of every client before anything
	// else; it costs seconds where DNS is dead, and nothing here needs names.
	ReverseLookup bool
	// Extra are the parameters above the first module that have no field
	// here, in their order.
	Extra   []Param
	Modules []Module
}

// Module is one tree that the daemon serves. The zero Module is not the
// daemon's default: start from NewModule.
type Module struct {
	Name    string
	Path    string // absolute
	Comment string
	// UID and GID are whom the module's processes become, by name or number;
	// "" leaves it to the daemon: nobody when it runs as root, else itself.
	UID, GID string
	// Chroot confines the module by the kernel. Unset means "if it can be
	// done", which is not what a safe configuration says.
	Chroot Tri
	// MungeSymlinks stores links with a prefix that makes them dangle. Unset
	// follows Chroot.
	MungeSymlinks Tri
	NumericIDs    Tri
	ReadOnly      bool
	WriteOnly     bool
	List          bool
	// AuthUsers are rules like "repl:rw"; none lets everybody in unasked.
	AuthUsers   []string
	AuthDigest  string // the weakest digest accepted; known since rsync 3.5.0
	SecretsFile string
	StrictModes bool // check the secrets file's owner and mode
	// HostsAllow are addresses and prefixes; none lets every host in. A match
	// here beats HostsDeny.
	HostsAllow     []string
	HostsDeny      []string
	ReverseLookup  bool
	MaxConnections int // 0 is no limit, negative disables the module
	Timeout        int // seconds without I/O; 0 is no limit
	// RefuseOptions are the client options that are refused, "!" lets one
	// through again; the last match counts.
	RefuseOptions []string
	// Exclude is a list of patterns that clients neither see nor touch.
	Exclude         string
	IncomingChmod   string
	FakeSuper       bool // keep owners and devices in extended attributes
	TransferLogging bool // one line a file
	LogFormat       string
	// Extra are the module's parameters that have no field here, in their
	// order.
	Extra []Param
}

// Param is a parameter without a field.
type Param struct {
	Name  string
	Value string
}

// Tri is a boolean that may be left to the daemon.
type Tri int8

// The values of Tri.
const (
	Unset Tri = iota
	No
	Yes
)

// NewConf returns what the daemon assumes of an empty file.
func NewConf() Conf {
	return Conf{ReverseLookup: true}
}

// NewModule returns a module as the daemon assumes it from its name and path
// alone: everybody may read it.
func NewModule(name, path string) Module {
	return Module{
		Name:          name,
		Path:          path,
		ReadOnly:      true,
		List:          true,
		StrictModes:   true,
		ReverseLookup: true,
		LogFormat:     defaultLogFormat,
	}
}

// defaultLogFormat is the daemon's own (daemon-parm.txt).
const defaultLogFormat = "%o %h [%a] %m (%u) %f %l"

// Module returns the module of that name, which is case-sensitive as it is for
// the daemon's clients.
func (c Conf) Module(name string) (Module, bool) {
	for _, m := range c.Modules {
		if m.Name == name {
			return m, true
		}
	}
	return Module{}, false
}
