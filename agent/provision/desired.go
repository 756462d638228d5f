package provision

import "io/fs"

// Owner names a user and a group, by name or number; an empty one is left as
// it is, and is the current one when something is created. Names are looked up
// in the staging directory's etc/passwd and etc/group when there is one.
// Owners are neither set nor compared by a run that is not root.
type Owner struct{ User, Group string }

// Effect is what a service needs when a file of it changed.
type Effect int

// The effects, weakest first: a restart makes a reload needless.
const (
	None Effect = iota
	Reload
	Restart
)

// Kinds of a Change; a File is a KindFile (the default) or a KindSysctl.
const (
	KindFile      = "file"
	KindDirectory = "directory"
	KindService   = "service"
	KindSysctl    = "sysctl"
)

// File is a regular file with all of its content.
type File struct {
	Path    string // absolute
	Content []byte
	// Mode has permission bits only; 0 leaves an existing file's mode and
	// creates with 0644.
	Mode  fs.FileMode
	Owner Owner
	Kind  string
	// Secret content appears in no report, neither itself nor its hash.
	Secret bool
	// User marks the user's own file: it is replaced without a question, and a
	// link to the wanted content is left alone.
	User bool
	// Validate runs on every file before anything is written. A *Problem it
	// returns is reported as it is, any other error with code "invalid".
	Validate func(content []byte) error
	// Effect is what Service needs when the content changed.
	Effect  Effect
	Service string
	Reason  string // why, for restart_reasons; "PATH changed" when empty
}

// Dir is a directory; missing parents are created with mode 0755.
type Dir struct {
	Path  string
	Mode  fs.FileMode // 0 leaves an existing mode and creates with 0755
	Owner Owner
	// OwnerOnCreate applies owner and mode only when the directory is created,
	// and accepts a link that leads to a directory.
	OwnerOnCreate bool
}

// Unit is a systemd unit.
type Unit struct {
	Name string // e.g. syncagent.service
	// File is the unit or a drop-in of it, nil when a package owns it all. A
	// change of it restarts a running unit, unless its Effect says otherwise.
	File          *File
	Enable, Start bool
}

// Absent is a derived file to remove.
type Absent struct {
	Path    string
	Effect  Effect
	Service string
}

// Desired is the wanted state.
type Desired struct {
	Role, Version string // copied into the Report
	Files         []File
	Dirs          []Dir
	Units         []Unit
	Absent        []Absent
	Warnings      []string // copied into the Report
	StateDir      string   // of the lock and the record; created with 0700 unless listed in Dirs
}

// Options say how to converge.
type Options struct {
	Check bool // plan only; nothing is touched
	Diff  bool // fill Report.Diff
	Force bool // replace derived files edited by hand, with one backup beside each
	// Root is a staging directory that stands for "/": paths in a Report and
	// in files stay without it, enabling a unit is a symlink, no service is
	// touched.
	Root string
	// Service is "systemd", "none", or "auto" (the same as "") for
	// DetectService(Root).
	Service string
}
