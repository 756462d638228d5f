package rsync

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"syncagent/agent/proc"
	"syncagent/agent/tree"
)

// Spawner starts a child process; proc.Spawner is one.
type Spawner interface {
	Start(cmd *exec.Cmd) (*proc.Child, error)
}

// Options are a module's settings for all its runs.
type Options struct {
	Filter     []string // rules in rsync's filter language or whole --filter=RULE arguments, for runs that recurse
	Compress   string   // "" or "none", else a name for --compress-choice, e.g. zstd
	Bwlimit    string   // as --bwlimit takes it, e.g. 10M; "" for none
	Xattrs     bool
	ACLs       bool
	HardLinks  bool
	NumericIDs bool
	// BackupDir, below the destination, takes what is overwritten or deleted, in a
	// folder named by the hour; "" for nothing. Keep it out by Filter.
	BackupDir string
	// Excludes names what is left out beyond Filter, in words that rsync has none
	// of; nil for nothing. With it Send refuses deep marks, below which rsync
	// would find everything, and Compare leaves out what it names.
	Excludes func(p tree.Path, dir bool) bool
	Extra    []string // further long options, none that changes which files are sent or deleted

	Timeout        time.Duration // rsync's own I/O timeout; 0: one minute
	ConnectTimeout time.Duration // 0: ten seconds
	Stall          time.Duration // a run without progress for so long is killed; 0: five minutes
}

// Config is what a Client needs.
type Config struct {
	Bin     string // "": rsync
	Source  string // the source directory, for messages only
	Dest    Dest
	Options Options
	Spawner Spawner
	Log     *slog.Logger // nil: no log
	// Slots bounds the waiting connections of all clients that share it; nil
	// for no bound. See Client.Warm.
	Slots *Slots
}

// Client runs rsync for one module and one target. Between calls it holds
// nothing but waiting connections, while Warm runs. It may be used by several
// goroutines; that two runs never write to the same slave directory at once is
// the caller's to see to.
type Client struct {
	cfg      Config
	spares   *spares
	seedless atomic.Bool            // the slave refuses what a seed needs
	found    atomic.Pointer[string] // where rsync was found
}

// New returns a Client; it starts nothing.
func New(cfg Config) *Client {
	if cfg.Bin == "" {
		cfg.Bin = "rsync"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	def(&cfg.Options.Timeout, time.Minute)
	def(&cfg.Options.ConnectTimeout, 10*time.Second)
	def(&cfg.Options.Stall, 5*time.Minute)
	return &Client{cfg: cfg, spares: newSpares(cfg.Slots)}
}

func def(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Batch is what one Send is to make equal on the slave. No path but those of Deep
// may lie below an entry of Deep.
type Batch struct {
	Send  []tree.Path // content may differ
	Attrs []tree.Path // only mode, owner, times or extended attributes may differ
	Gone  []tree.Path // topmost missing ancestors; what the slave has there is deleted
	Deep  []tree.Path // whole subtrees; tree.Root means every entry of the root, never the root itself

	// Other are those of Deep that may be other directories than the slave has. What the
	// slave had of them before is compared byte for byte: there, equal sizes and times
	// say nothing.
	Other []tree.Path

	// Seeds are renames that made entries of Deep.
	Seeds []Seed

	// Anew has the files below the entries of Deep written again, whatever the slave
	// has: they may be links of others there that are not links of each other here.
	Anew bool

	// Leave are files below the entries of Deep that are passed over, on both sides.
	// Those that CanLeave refuses must not be among them.
	Leave []tree.Path

	MaxDelete int // >0: no run of this batch deletes more entries than that on the slave
	// Bulk says that the batch takes long, so that it leaves the connections that
	// wait to those that hurry.
	Bulk bool
	// Replace is like Send, but what stands in the way of one of these paths goes,
	// a directory with all that is in it included.
	Replace []tree.Path
	// Flat says that no path of Gone is a directory that holds something. One that
	// does nevertheless stays and has failed.
	Flat bool
}

// Failure is a path that the slave does not have as it should.
type Failure struct {
	Path  tree.Path
	What  tree.What
	Class Class
	Text  string // one line, printable
	// Newer: the slave has what stood there when the run began, or parts of something
	// newer. Only what changed since is missing.
	Newer bool
}

// Extra is an entry of the slave that the master does not have.
type Extra struct {
	Path tree.Path
	Dir  bool
}

// Stats counts what the runs of one call reported.
type Stats struct {
	Files   int   // regular files sent
	Deletes int   // entries deleted
	Created int   // entries that the slave did not have
	Entries int   // entries looked at below deep marks
	Runs    int   // rsync processes
	Bytes   int64 // sum of the sizes of the files sent
}

// Outcome tells what became of a Batch.
type Outcome struct {
	// Failed is what the slave still lacks. Every other path of Send, Attrs
	// and Gone is confirmed, and every other subtree of Deep apart from what
	// Extras and Differ name. It may name a parent directory that was not in
	// the batch, when its attributes could not be set, and single paths below
	// a deep mark.
	Failed []Failure
	// Extras are entries below the deep marks that the slave has and we do not,
	// a directory's content included. Nothing here deletes them.
	Extras []Extra
	// Differ are paths below the deep marks that still differ.
	Differ []tree.Path
	// Cut: a run that writes was ended, or gave up, while the slave's side may
	// live on: what that has received it may still put in place later.
	Cut   bool
	Err   *Error // nil when nothing failed
	Stats Stats
}

// Change is a path that Compare found different.
type Change struct {
	Path tree.Path
	Dir  bool
	Code string // rsync's eleven characters of --itemize-changes
}

// Diff is what Compare found.
type Diff struct {
	Differ  []Change
	Extras  []Extra
	Failed  []Failure // what could not be looked at, on either side
	Entries int       // entries of the master that were looked at
	// Partial says that something was not compared: then Extras may be
	// incomplete, whatever Failed names.
	Partial *Error
}

// Send makes the slave equal to dir, an open descriptor of the source root,
// for every path of b. Rsync reads below dir itself, so a path that is
// replaced meanwhile changes nothing.
//
// What Seeds name is linked on the slave first, a run each. One run sends Send and Gone; a second one, which alone may remove a directory
// with content, Replace and what of Gone needs that; a third Attrs, a fourth
// Deep; each only when it has something to do; a dry run then lists what is left below the deep
// marks, and another one says what is left when a run was not clean. When a
// run fails for the whole target the following ones are not tried.
func (c *Client) Send(ctx context.Context, dir *os.File, b Batch) Outcome {
	s := &sending{c: c, ctx: ctx, dir: dir, batch: b}
	return s.run()
}
