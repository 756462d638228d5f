package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// plainDaemons launches an rsync daemon for each slave as manuals write it; with
// nodelay it answers without waiting for more to say.
func plainDaemons(ctx context.Context, r *rig, nodelay bool) error {
	for i, s := range r.slaves {
		conf, secrets := filepath.Join(s.dir, "rsyncd.conf"), filepath.Join(s.dir, "rsyncd.secrets")
		err := errors.Join(
			os.WriteFile(conf, []byte(daemonConf(s, secrets, nodelay)), 0o644),
			os.WriteFile(secrets, []byte(user+":"+r.env.password+"\n"), 0o600))
		if err != nil {
			return fmt.Errorf("write daemon configuration: %w", err)
		}
		name := fmt.Sprintf("daemon%d", i+1)
		cmd := exec.Command("rsync", "--daemon", "--no-detach", "--config="+conf, "--address="+s.host, "--port="+s.port)
		child, err := r.start(name, cmd)
		if err != nil {
			return err
		}
		if err := r.await(ctx, name, child, func() bool { return greets(s) }); err != nil {
			return err
		}
	}
	return nil
}

func daemonConf(s slave, secrets string, nodelay bool) string {
	var b strings.Builder
	if os.Geteuid() == 0 {
		b.WriteString("uid = 0\ngid = 0\nuse chroot = yes\n")
	} else {
		b.WriteString("use chroot = no\n")
	}
	if nodelay {
		b.WriteString("socket options = TCP_NODELAY\n")
	}
	fmt.Fprintf(&b, "log file = %s\nreverse lookup = no\n[%s]\npath = %s\nread only = no\nauth users = %s\nsecrets file = %s\n",
		filepath.Join(s.dir, "rsyncd.log"), module, s.tree, user, secrets)
	return b.String()
}

// greets reports whether a daemon answers there.
func greets(s slave) bool {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(s.host, s.port), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && strings.HasPrefix(line, "@RSYNCD: ")
}
