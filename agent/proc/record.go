package proc

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// compactAt is the size in bytes at which a record with no living group is
// cut back.
const compactAt = 64 << 10

// record is the open file of one Spawner. Its lines are
//
//	boot BOOTID TOKEN      a spawner began; what follows is its
//	+ PID START "NAME"     a group was started; START as in /proc/PID/stat
//	- PID                  all of it is gone
//
// Lines are appended and never synced: after a crash of the machine no process
// is left to be ended. A last line without its newline is ignored.
type record struct {
	f    *os.File
	base int64 // size up to and including our boot line
	size int64
}

func openRecord(path, token string) (*record, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open process record: %w", err)
	}
	r := &record{f: f}
	// The newline ends what a killed predecessor may have left half-written.
	if err := r.write("\nboot " + boot + " " + token + "\n"); err != nil {
		_ = f.Close()
		return nil, err
	}
	if r.size, err = f.Seek(0, io.SeekEnd); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open process record: %w", err)
	}
	r.base = r.size
	return r, nil
}

func (r *record) write(line string) error {
	n, err := r.f.WriteString(line)
	r.size += int64(n)
	if err != nil {
		return fmt.Errorf("write process record: %w", err)
	}
	return nil
}

func (r *record) started(pid int, name string) error {
	s, err := readStat(pid)
	if err != nil {
		return fmt.Errorf("read start time: %w", err)
	}
	return r.write(fmt.Sprintf("+ %d %d %q\n", pid, s.start, name))
}

// ended notes that a group is gone; last says that no other is left.
func (r *record) ended(pid int, last bool) error {
	if last && r.size > r.base+compactAt {
		if err := r.f.Truncate(r.base); err != nil {
			return fmt.Errorf("cut process record: %w", err)
		}
		r.size = r.base
		return nil
	}
	return r.write(fmt.Sprintf("- %d\n", pid))
}

func (r *record) close() { _ = r.f.Close() }

// group is one recorded process group.
type group struct {
	pid   int
	start uint64
	token string
	name  string
}

// parseRecord returns the groups of this boot that were not noted as gone.
// What it does not understand it skips: ending nothing is the safe side.
func parseRecord(in io.Reader, boot string) ([]group, error) {
	live := map[int]group{}
	var order []int
	token, valid := "", false
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadString('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read process record: %w", err)
		}
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		switch {
		case len(f) == 3 && f[0] == "boot":
			token, valid = f[2], f[1] == boot && f[2] != ""
		case len(f) == 4 && f[0] == "+" && valid:
			if g, ok := parseGroup(f, token); ok {
				live[g.pid] = g
				order = append(order, g.pid)
			}
		case len(f) == 2 && f[0] == "-":
			if pid, err := strconv.Atoi(f[1]); err == nil {
				delete(live, pid)
			}
		}
	}
	var groups []group
	for _, pid := range order {
		if g, ok := live[pid]; ok {
			groups = append(groups, g)
			delete(live, pid)
		}
	}
	return groups, nil
}

func parseGroup(f []string, token string) (group, bool) {
	pid, err := strconv.Atoi(f[1])
	if err != nil || pid <= 1 {
		return group{}, false
	}
	start, err := strconv.ParseUint(f[2], 10, 64)
	if err != nil {
		return group{}, false
	}
	name, err := strconv.Unquote(f[3])
	if err != nil {
		return group{}, false
	}
	return group{pid: pid, start: start, token: token, name: name}, true
}
