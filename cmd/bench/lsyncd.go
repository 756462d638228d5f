package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// lsyncd is the Debian package's, in its rsync mode, with no delay.
type lsyncd struct{}

func (l *lsyncd) prepare(ctx context.Context, r *rig) error {
	if err := plainDaemons(ctx, r, r.env.opt.tuned); err != nil {
		return err
	}
	if err := os.WriteFile(l.conf(r), []byte(lsyncdConf(r)), 0o644); err != nil {
		return fmt.Errorf("write lsyncd configuration: %w", err)
	}
	return nil
}

func (l *lsyncd) conf(r *rig) string { return filepath.Join(r.dir, "lsyncd.conf") }

func (l *lsyncd) launch(_ context.Context, r *rig) error {
	child, err := r.start("lsyncd", exec.Command("lsyncd", "-nodaemon", l.conf(r)))
	r.master = child
	return err
}

// lsyncdConf is a Lua program with one sync a slave. Go's quoting of the paths
// we make is Lua's too.
func lsyncdConf(r *rig) string {
	var b strings.Builder
	b.WriteString("settings { nodaemon = true, insist = true }\n")
	extra := ""
	if r.env.opt.tuned {
		extra = `, _extra = { "--sockopts=TCP_NODELAY" }`
	}
	for _, s := range r.slaves {
		fmt.Fprintf(&b, "sync { default.rsync, source = %s, target = %s, delay = 0, delete = true,\n"+
			"  rsync = { archive = true, password_file = %s%s } }\n",
			strconv.Quote(r.source+"/"), strconv.Quote(s.url()), strconv.Quote(r.pass), extra)
	}
	return b.String()
}
