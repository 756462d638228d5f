package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	editedSize = 64 << 20
	editSize   = 1 << 20
	// slowWire is about a link of 100 Mbit/s.
	slowWire = "--bwlimit=10M"
)

// transfer is a way to send, by rsync by hand to one slave: what the options of
// a target cost and save.
type transfer struct {
	title string
	opts  []string
}

func transfers() []transfer {
	return []transfer{
		{"as it is", []string{"--no-compress", "--no-whole-file"}},
		{"`compress: zstd`", []string{"--compress", "--compress-choice=zstd", "--no-whole-file"}},
		{"`compress: lz4`", []string{"--compress", "--compress-choice=lz4", "--no-whole-file"}},
		{"`compress: zlibx`", []string{"--compress", "--compress-choice=zlibx", "--no-whole-file"}},
		{"`whole_file: yes`", []string{"--no-compress", "--whole-file"}},
		{"`checksum_choice: md5`", []string{"--no-compress", "--no-whole-file", "--checksum-choice=md5"}},
		{"`checksum_choice: xxh128`", []string{"--no-compress", "--no-whole-file", "--checksum-choice=xxh128"}},
	}
}

// transferOptions measures each way with a tree that is new and with a large
// file of which a part was changed, at full speed and over a slow wire.
func transferOptions(ctx context.Context, env *environment) (curveResult, error) {
	res := curveResult{
		title: "Options of a transfer",
		about: "rsync by hand to one slave: the Go installation's src tree, new, and a file of 64 MiB of its text in which 1 MiB was rewritten. The slow wire is `bwlimit: 10M`.",
		columns: []string{
			"options", "tree, s", "tree, MB on the wire", "tree, slow wire, s", "edited file, s", "edited file, MB on the wire", "edited file, slow wire, s",
		},
	}
	for _, t := range transfers() {
		row, err := t.measure(ctx, env)
		if err != nil {
			return res, fmt.Errorf("%s: %w", t.title, err)
		}
		env.say("transfer  %-26s tree %s s, %s MB; edited file %s s, %s MB", t.title, number(row[0]), number(row[1]), number(row[3]), number(row[4]))
		res.labels, res.rows = append(res.labels, t.title), append(res.rows, row)
	}
	return res, nil
}

func (t transfer) measure(ctx context.Context, env *environment) (row []float64, err error) {
	for _, work := range []func(context.Context, *rig, []string) (sent, error){sendTree, sendEdited} {
		full, err := inRig(ctx, env, t.opts, work)
		if err != nil {
			return nil, err
		}
		slow, err := inRig(ctx, env, append([]string{slowWire}, t.opts...), work)
		if err != nil {
			return nil, err
		}
		row = append(row, full.seconds, full.megabytes, slow.seconds)
	}
	return row, nil
}

// sent is what one run took.
type sent struct{ seconds, megabytes float64 }

func inRig(ctx context.Context, env *environment, opts []string, work func(context.Context, *rig, []string) (sent, error)) (sent, error) {
	r, err := newRig(env, 1)
	if err != nil {
		return sent{}, err
	}
	defer r.close()
	if err := plainDaemons(ctx, r, true); err != nil {
		return sent{}, err
	}
	return work(ctx, r, opts)
}

func sendTree(ctx context.Context, r *rig, opts []string) (sent, error) {
	from, err := r.env.goTree(ctx)
	if err := errors.Join(err, r.env.copyTree(ctx, from, r.at("src"))); err != nil {
		return sent{}, err
	}
	return sendAll(ctx, r, opts)
}

// sendEdited sends a file of which the slave has the state before the edit.
func sendEdited(ctx context.Context, r *rig, opts []string) (sent, error) {
	from, err := r.env.goTree(ctx)
	if err := errors.Join(err, writeText(r.at("file"), editedSize, from)); err != nil {
		return sent{}, err
	}
	if err := r.env.copyTree(ctx, r.at("file"), filepath.Join(r.slaves[0].tree, "file")); err != nil {
		return sent{}, err
	}
	if err := edit(r.at("file")); err != nil {
		return sent{}, err
	}
	return sendAll(ctx, r, opts)
}

// edit rewrites a part in the middle.
func edit(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(f, editedSize/2), io.LimitReader(noise(4), editSize))
	return errors.Join(err, f.Close())
}

// writeText makes a file of so many bytes of what the files below dir hold.
func writeText(path string, size int64, dir string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	left := size
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if left == 0 {
			return fs.SkipAll
		}
		n, err := appendFile(f, name, left)
		left -= n
		return err
	})
	if err == nil && left > 0 {
		err = fmt.Errorf("%s holds %d bytes less than wanted: give a larger -tree", dir, left)
	}
	return errors.Join(err, f.Close())
}

func appendFile(to io.Writer, name string, most int64) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.Copy(to, io.LimitReader(f, most))
}

// sendAll times one run over everything, and has it count its bytes.
func sendAll(ctx context.Context, r *rig, opts []string) (sent, error) {
	opts = append([]string{"-a", "-I", "--stats", "--no-human-readable", "--sockopts=TCP_NODELAY"}, opts...)
	cmd := rsyncTo(r, r.slaves[0], opts...)
	var said bytes.Buffer
	cmd.Stdout = &said
	begin := time.Now()
	if err := r.run(ctx, cmd); err != nil {
		return sent{}, err
	}
	took := time.Since(begin).Seconds()
	n, err := totalSent(said.String())
	return sent{took, float64(n) / 1e6}, err
}

// totalSent finds the bytes sent in what rsync --stats says.
func totalSent(text string) (int64, error) {
	const head = "Total bytes sent: "
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, head); ok {
			return strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
		}
	}
	return 0, fmt.Errorf("find %q in what rsync says", head)
}
