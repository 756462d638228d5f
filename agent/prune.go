package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/rsync"
)

// pruneEvery is how often backups are looked through; their folders are named by
// the hour.
const pruneEvery = time.Hour

// prune removes old backups until ctx ends. It is the slave's work: a master could
// only do so by deletes that no gate has seen.
func (r *Receiver) prune(ctx context.Context) error {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		c := r.current()
		for _, m := range without(c, r.custody.outOfService()).Modules {
			n, err := pruneModule(m, time.Now())
			if err != nil {
				r.log.Warn("old backups cannot be removed", "module", m.Name, "error", err)
			}
			if n > 0 {
				r.log.Info("old backups were removed", "module", m.Name, "folders", n)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// pruneModule removes the folders of backups whose hour ended longer ago than the
// module keeps them. Anything of another name stays, and so does whatever a link
// leads to.
func pruneModule(m config.ReceiverModule, now time.Time) (removed int, err error) {
	if m.BackupDir == "" || m.BackupKeep <= 0 {
		return 0, nil
	}
	root, err := os.OpenRoot(m.Path)
	if err != nil {
		return 0, fmt.Errorf("open module %s: %w", m.Name, err)
	}
	defer root.Close()
	info, err := root.Lstat(m.BackupDir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return 0, nil // nothing was overwritten yet
	}
	dir, err := root.OpenRoot(m.BackupDir)
	if err != nil {
		return 0, fmt.Errorf("open backups of module %s: %w", m.Name, err)
	}
	defer dir.Close()
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return 0, fmt.Errorf("list backups of module %s: %w", m.Name, err)
	}
	var errs []error
	for _, e := range entries {
		hour, err := time.Parse(rsync.BackupLayout, e.Name())
		if err != nil || !e.IsDir() || now.Sub(hour.Add(time.Hour)) <= m.BackupKeep.Std() {
			continue
		}
		if err := dir.RemoveAll(e.Name()); err != nil {
			errs = append(errs, fmt.Errorf("remove backup %s: %w", e.Name(), err))
			continue
		}
		removed++
	}
	return removed, errors.Join(errs...)
}
