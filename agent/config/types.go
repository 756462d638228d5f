package config

import "syncagent/agent/filter"

// Role says which of the two files is meant.
type Role string

// The two roles a host can have; it may have both.
const (
	RoleMaster Role = "master"
	RoleSlave  Role = "slave"
)

// DefaultPort is where an rsync daemon listens.
const DefaultPort = 873

// Master is the content of agent.yaml. NewMaster, ReadMaster and DecodeMaster
// make one; a Master put together in code is checked by Encode, DecodeMaster
// and Validate.
type Master struct {
	StateDir string // absolute
	Socket   string // absolute
	Listen   string // host:port of the status page, "" is off
	Workers  int    // rsync processes at once, 0: cores*2+2
	Nice     int    // of the rsync processes, beyond ours
	Ionice   string // of the rsync processes: none, best-effort or idle
	Auth     Auth
	SSH      SSH // for targets reached by ssh
	Settings
	OnState     []Hook       // when a target is in trouble, and well again
	TargetSpecs []TargetSpec // in the order of the file
	ModuleSpecs []ModuleSpec // in the order of the file

	origin origin
}

// Auth is how the master logs in.
type Auth struct {
	User         string
	PasswordFile string // absolute
	Off          bool   // the daemon asks nobody; the others mean nothing then
}

// Settings are the keys a module may override.
type Settings struct {
	Settle      Settle
	Sweep       Sweep
	Failures    Failures
	Watcher     string // auto, fanotify, fsnotify or poll
	Lanes       Lanes
	Warm        bool
	DeleteGuard Guard
	RootChange  string // block or accept
	FirstSync   string // merge or mirror
}

// Settle says how long a change rests before it is sent.
type Settle struct {
	Quiet   Duration // after a finished change
	Max     Duration // at most, for a burst that does not end
	Growing Duration // for a file that is still being written
	Hot     Duration // for a file that never rests; 0: not at all
}

// Sweep says when a whole module is reconciled.
type Sweep struct {
	AtStart       bool
	Every         Schedule
	ChecksumEvery Schedule // of those that read every byte
	Concurrency   int
}

// Failures says what becomes of paths that a target does not take.
type Failures struct {
	EscalateAfter Duration // a path that fails for as long is reported as such, 0: never
	RetryEvery    Duration // all of them are tried at once this often, 0: by their own pauses only
}

// Lanes splits what is sent by size.
type Lanes struct {
	Large Size // files from here on take a lane of their own, 0: none do
}

// Guard holds deletes back when there are too many: more than Percent of the
// module's entries and more than Min, or more than Files (0: no such limit).
type Guard struct {
	Off     bool
	Percent int
	Min     int
	Files   int
}

// TargetSpec is one entry of targets as written; Master.Modules fills in what
// is left out.
type TargetSpec struct {
	Name    string
	Host    string
	Port    int
	Auth    Auth   // an empty field means the master's
	Bwlimit string // rsync's --bwlimit: a number and K, M or G, bytes a second; "" or 0 is none
	Wire
	Transport string // daemon or ssh, "" is daemon
	SSH       SSH    // an empty field means the master's
}

// Wire says how file contents travel to one target; what suits depends on the
// line and on both processors.
type Wire struct {
	WholeFile      string // auto (rsync's own choice), yes or no
	Compress       string // as in RsyncOptions, "" for the module's
	ChecksumChoice string // rsync's --checksum-choice, "" or auto for its own
}

// ModuleSpec is one entry of modules as written.
type ModuleSpec struct {
	Name string
	Path string // absolute, clean
	// Targets is where it goes. nil: every target, module of the same name, its
	// root; empty: nowhere, its changes are for its hooks alone.
	Targets []ModuleDest
	Delete  bool
	Filter  []string // rsync's filter language, first match wins
	// BackupDir is where a target keeps what is overwritten or deleted, below where
	// the module goes; "" keeps nothing.
	BackupDir string
	// Transport is how the module reaches its targets, "" as each target says.
	Transport string
	Hooks     []Hook
	// FilterRegex are expressions that exclude what they match in full.
	FilterRegex []string
	FilterSets  []string // names of filter.Set
	Events      []string // what marks, of EventNames; none: all of them
	SweepFilter []string // as Filter; what it excludes is no business of sweeps by schedule
	Rsync       RsyncOptions
	// Overrides maps dotted keys of Settings to their text, see Keys.
	Overrides map[string]string
}

// ModuleDest is one entry of a module's list of targets.
type ModuleDest struct {
	Target string
	Module string // "": the module's own name
	// Dir is below the remote module's root, "" the root itself; with ssh it is
	// the directory over there, "" the path the module has here.
	Dir string
}

// RsyncOptions are what a user may say about the rsync runs of a module.
type RsyncOptions struct {
	Compress   string // none, auto, zstd, lz4, zlibx or zlib
	Xattrs     bool
	ACLs       bool
	HardLinks  bool
	NumericIDs bool
	Timeout    Duration // of a run in which nothing moves
	Extra      []string // further options, each beginning with '-'
}

// Module is one replicated tree with everything filled in.
type Module struct {
	Name, Path string
	Delete     bool
	Settings
	Filter []string // the text of Rules, BackupDir's first
	Rules  *filter.Rules
	// SweepRules name what sweeps by schedule leave out beside that; nil for nothing.
	SweepRules *filter.Rules
	BackupDir  string
	Events     []string
	Rsync      RsyncOptions
	Targets    []Target
	Hooks      []Hook
}

// Target is where one module goes, with everything filled in.
type Target struct {
	Name    string
	Host    string
	Port    int
	Module  string // the rsync module over there
	Dir     string // below that module's root, "": the root itself
	Auth    Auth
	Bwlimit string // as in TargetSpec
	Wire
	Transport string // daemon or ssh
	SSH       *SSH   // nil: the rsync daemon; else Dir is a directory over there and Module is ""
}

// Receiver is the content of receiver.yaml.
type Receiver struct {
	StateDir       string // absolute
	ConfFile       string // absolute, the rsyncd.conf that is written
	Address        string // an IP address, "" is all
	Port           int
	Auth           ReceiverAuth
	Allow          []string // IP addresses and networks of masters
	MaxConnections int      // 0 is no limit
	Modules        []ReceiverModule

	origin origin
}

// ReceiverAuth is who may log in.
type ReceiverAuth struct {
	User        string
	Also        []string // further users, while masters change from one to another
	SecretsFile string   // absolute
}

// Users are all who may log in, the one in use first.
func (a ReceiverAuth) Users() []string { return append([]string{a.User}, a.Also...) }

// ReceiverModule is a directory that is received into.
type ReceiverModule struct {
	Name     string
	Path     string // absolute, clean
	Owner    string // of the directory when it is created, "" leaves it
	Group    string
	UID      string // as whom the daemon writes
	GID      string
	Chroot   bool
	ReadOnly bool
	// BackupDir is where masters put what they overwrite and delete, below Path; what
	// lies there longer than BackupKeep is removed. "" or 0 removes nothing.
	BackupDir  string
	BackupKeep Duration
}

// NewMaster returns the defaults.
func NewMaster() *Master {
	p := DefaultPaths(RoleMaster, "")
	return &Master{
		StateDir: p.State,
		Socket:   p.Socket,
		Ionice:   "none",
		Auth:     Auth{User: "repl", PasswordFile: p.PasswordFile},
		Settings: defaultSettings(),
	}
}

// NewReceiver returns the defaults.
func NewReceiver() *Receiver {
	p := DefaultPaths(RoleSlave, "")
	return &Receiver{
		StateDir: p.State,
		ConfFile: p.RsyncdConf,
		Port:     DefaultPort,
		Auth:     ReceiverAuth{User: "repl", SecretsFile: p.SecretsFile},
	}
}

func defaultSettings() Settings {
	return Settings{
		Settle:      Settle{Quiet: 2 * Millisecond, Max: Second, Growing: 30 * Second, Hot: 10 * Second},
		Sweep:       Sweep{AtStart: true, Every: Every(10 * Hour), ChecksumEvery: Every(30 * Day), Concurrency: 2},
		Failures:    Failures{EscalateAfter: Hour, RetryEvery: 10 * Hour},
		Watcher:     "auto",
		Lanes:       Lanes{Large: 64 * MiB},
		Warm:        true,
		DeleteGuard: defaultGuard(),
		RootChange:  "block",
		FirstSync:   "merge",
	}
}

func defaultGuard() Guard { return Guard{Percent: 30, Min: 50} }

func defaultRsync() RsyncOptions {
	return RsyncOptions{Compress: "none", NumericIDs: true, Timeout: Minute}
}
