package rsync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"syncagent/agent/proc"
)

const (
	// stopGrace is what a cancelled or stalled rsync gets to remove its
	// temporary file.
	stopGrace = 2 * time.Second
	// maxNamed bounds the complaints that are kept of one run.
	maxNamed = 100_000
	// maxFlood bounds, in bytes, what a run may say beside its items; an rsync
	// that goes on is killed.
	maxFlood = 32 << 20
)

// errStalled, errFlood and errPipe are why a run was killed.
var (
	errStalled = errors.New("made no progress")
	errFlood   = errors.New("wrote no end of messages")
	errPipe    = errors.New("opened a named pipe that took the place of a file")
)

// report is what one rsync process said and how it ended.
type report struct {
	named    []PathError
	odd      bool // some complaint names no path that we know
	limited  bool // --max-delete was reached
	noExtras bool // deletes were not looked for
	cut      bool // nobody knows what the slave's side still does
	err      *Error
}

// clean: exit code 0 and not a word of trouble.
func (r *report) clean() bool { return r.err == nil }

// broken: the run did not work through its list to the end.
func (r *report) broken() bool { return r.err != nil && r.err.Class != Partial }

// reachable: a broken run got so far that the slave may have changed.
func (r *report) reachable() bool {
	if r.err == nil {
		return true
	}
	if r.err.Class == Refused {
		return false
	}
	switch r.err.Code {
	case 0, 11, 12, 13, 14, 20, 22, 23, 24, 25, 30, 255:
		return true
	}
	return false
}

// collector turns the output of one process into a report. Its two writers are
// used by one goroutine each.
type collector struct {
	dest Dest

	mu    sync.Mutex
	sink  func(item) // nil before there is a list
	words tail
	rep   report
	items int

	out   atomic.Int64 // bytes of all output
	other atomic.Int64 // bytes that were no items
}

func (c *collector) stdout() *lines {
	return &lines{line: c.itemLine, long: c.longLine, read: &c.out}
}

func (c *collector) stderr() *lines {
	return &lines{line: c.otherLine, long: c.longLine, read: &c.out}
}

func (c *collector) itemLine(b []byte) {
	it, ok := parseItem(string(b))
	if !ok {
		c.otherLine(b)
		return
	}
	c.mu.Lock()
	sink := c.sink
	c.items++
	c.mu.Unlock()
	if sink != nil {
		sink(it)
	}
}

// setSink says who takes the items. There are none before the list is given.
func (c *collector) setSink(sink func(item)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sink = sink
}

func (c *collector) otherLine(b []byte) {
	c.other.Add(int64(len(b)) + 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	line := string(b)
	_, _ = c.words.Write(b)
	_, _ = c.words.Write([]byte{'\n'})
	e, kind := parseComplaint(line, c.dest)
	switch {
	case kind == linePath && len(c.rep.named) < maxNamed:
		c.rep.named = append(c.rep.named, e)
	case kind == lineNoExtras:
		c.rep.noExtras = true
	case kind == lineLimit:
		c.rep.limited = true
	case kind != lineNoise:
		c.rep.odd = true
	}
}

func (c *collector) longLine() {
	c.other.Add(maxLine)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rep.odd = true
}

// process is a started rsync that waits for its list.
type process struct {
	c      *Client
	mode   mode
	cmd    *exec.Cmd
	child  *proc.Child
	feed   *os.File // its standard input
	col    *collector
	stdout *lines
	stderr *lines
	born   time.Time
}

// exec runs rsync once with the given list, entries as newList makes them, and
// returns when its whole process group is gone. onItem is called from another
// goroutine, but never after exec has returned.
func (c *Client) exec(ctx context.Context, dir *os.File, m mode, list []byte, onItem func(item)) *report {
	if err := ctx.Err(); err != nil {
		return &report{err: &Error{Class: Transient, Code: -1, Err: err}}
	}
	if removed(dir) {
		return &report{err: &Error{Class: SourceGone, Code: -1, Text: "source directory was removed", Hint: hintSource}}
	}
	defer c.spares.wish(dir, m)
	cut := false
	if p := c.spares.take(dir, m); p != nil {
		rep, ok := p.tryWarm(ctx, list, onItem)
		if ok {
			return rep
		}
		cut = rep.cut // it had the list
		c.cfg.Log.Debug("a waiting connection had died", "target", c.cfg.Dest.String())
	}
	p, err := c.start(dir, m)
	if err != nil {
		return &report{err: startError(err), cut: cut}
	}
	rep := p.run(ctx, list, onItem)
	rep.cut = rep.cut || cut
	return rep
}

// start starts rsync up to where it reads its list.
func (c *Client) start(dir *os.File, m mode) (*process, error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe for the list: %w", err)
	}
	defer theirs.Close()
	col := &collector{dest: c.cfg.Dest, words: tail{max: maxText}}
	p := &process{c: c, mode: m, feed: ours, col: col, stdout: col.stdout(), stderr: col.stderr(), born: time.Now()}
	p.cmd = exec.Command(c.bin(), c.args(m)...)
	p.cmd.Env = environ()
	p.cmd.ExtraFiles = []*os.File{dir}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs, p.stdout, p.stderr
	p.cmd.WaitDelay = stopGrace
	if p.child, err = c.cfg.Spawner.Start(p.cmd); err != nil {
		ours.Close()
		c.found.Store(nil) // it may be elsewhere by now
		return nil, err
	}
	return p, nil
}

// bin is the program to start. To look through PATH each time costs as much as all else
// of a start that is ours.
func (c *Client) bin() string {
	if at := c.found.Load(); at != nil {
		return *at
	}
	at, err := exec.LookPath(c.cfg.Bin)
	if err != nil {
		return c.cfg.Bin // starting it says why
	}
	c.found.Store(&at)
	return at
}

// run hands over the list and waits for the end.
func (p *process) run(ctx context.Context, list []byte, onItem func(item)) *report {
	p.col.setSink(onItem)
	begun := time.Now()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = p.feed.Write(list) // a child that is gone says why by its exit code
		p.feed.Close()
	}()
	killed := p.c.watch(ctx, p.child, p.col, p.c.stall(p.mode))
	err := p.child.Wait()
	p.feed.Close() // of a child that never read
	<-written
	p.stdout.flush()
	p.stderr.flush()
	p.col.rep.err = p.c.judge(err, killed, p.col)
	p.col.rep.cut = killed != nil || p.col.rep.err.unanswered()
	p.c.cfg.Log.Debug("rsync ended", "target", p.c.cfg.Dest.String(), "pid", p.child.PID(), "args", p.cmd.Args[1:],
		"list_bytes", len(list), "waited", begun.Sub(p.born), "took", time.Since(begun), "err", p.col.rep.err.orNil())
	return &p.col.rep
}

// discard ends a process that was not given anything: with an empty list rsync
// does nothing.
func (p *process) discard() {
	p.feed.Close()
	_ = p.child.Stop(stopGrace)
}

// orNil keeps a nil *Error from becoming a non-nil error.
func (e *Error) orNil() error {
	if e == nil {
		return nil
	}
	return e
}

// unanswered: this side gave up or was killed. When the slave's side closed the
// connection, all of its processes had let go of it.
func (e *Error) unanswered() bool { return e != nil && (e.Code == 30 || e.Code == -1) }

func startError(err error) *Error {
	e := &Error{Class: Transient, Code: -1, Err: err}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		e.Class, e.Hint = Incompatible, hintInstall
	}
	return e
}

// judge turns the way a process ended into an Error.
func (c *Client) judge(wait, killed error, col *collector) *Error {
	text := strings.ReplaceAll(col.words.String(), strings.TrimSuffix(sourceArg, "/"), c.cfg.Source)
	if killed != nil {
		return &Error{
			Class: Transient, Code: -1, Err: killed,
			Text: printable(fmt.Sprintf("%v, was ended; %s", killed, lastWords(text)), maxText),
		}
	}
	var exit *exec.ExitError
	switch {
	case wait == nil:
		return Classify(0, col.trouble(text))
	case errors.As(wait, &exit):
		e := Classify(exit.ExitCode(), text)
		e.Err = wait
		return e
	default: // the output could not be read to its end
		return &Error{Class: Transient, Code: -1, Text: lastWords(text), Err: wait}
	}
}

// trouble is text, or "" when it is nothing but notices.
func (c *collector) trouble(text string) string {
	if len(c.rep.named) == 0 && !c.rep.odd && !c.rep.noExtras && !c.rep.limited {
		return ""
	}
	if strings.TrimSpace(text) == "" {
		return "unexpected output"
	}
	return text
}

// environ is all that rsync sees: no password, no popt aliases from a home
// directory, untranslated messages, and no time lost on OpenSSL's
// configuration.
func environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "OPENSSL_CONF=/dev/null"}
}

// watch returns when the child is gone, having ended it when ctx did, when it
// stalled or when it would not stop talking; killed says which.
func (c *Client) watch(ctx context.Context, child *proc.Child, col *collector, limit time.Duration) (killed error) {
	p := progress{limit: limit, last: time.Now()}
	tick := time.NewTicker(min(max(limit/8, 5*time.Millisecond), 2*time.Second))
	defer tick.Stop()
	for {
		select {
		case <-child.Done():
			return nil
		case <-ctx.Done():
			_ = child.Stop(stopGrace)
			return ctx.Err()
		case now := <-tick.C:
			switch {
			case col.other.Load() > maxFlood:
				killed = errFlood
			case opensPipe(child.PID()):
				killed = errPipe
			case p.stalled(now, col.out.Load(), traffic(child.PID())):
				killed = fmt.Errorf("%w for %v", errStalled, limit)
			default:
				continue
			}
			_ = child.Stop(stopGrace)
			return killed
		}
	}
}
