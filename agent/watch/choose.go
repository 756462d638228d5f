package watch

import (
	"errors"
	"fmt"
)

// choose sets up the configured backend. Auto takes the best that works: it
// falls back to polling rather than not to replicate at all.
func (w *Watcher) choose(dir rootDir, out *outlet) (backend, error) {
	switch w.cfg.Backend {
	case Poll:
		w.meter.chose(Poll, "configured")
		return newPoll(w.cfg, dir, out), nil
	case Fsnotify:
		w.meter.chose(Fsnotify, "configured")
		return newFsnotify(w.cfg, w.pace, dir, out)
	case Fanotify:
		w.meter.chose(Fanotify, "configured")
		b, err := newFanotify(w.cfg, w.pace, dir, out, false)
		if err != nil {
			return nil, fmt.Errorf("watcher fanotify: %w; or use watcher auto", err)
		}
		return b, nil
	case Auto, "":
		return w.best(dir, out)
	}
	return nil, fmt.Errorf("watcher %q: unknown; use auto, fanotify, fsnotify or poll", w.cfg.Backend)
}

// best is what Auto stands for.
func (w *Watcher) best(dir rootDir, out *outlet) (backend, error) {
	fan, noFan := w.fanotify(dir, out)
	if noFan == nil {
		w.meter.chose(Fanotify, "auto: the kernel reports the file system as a whole, and when files are closed")
		return fan, nil
	}
	if errors.Is(noFan, ErrRootLost) {
		return nil, noFan
	}
	fs, noFS := newFsnotify(w.cfg, w.pace, dir, out)
	if noFS == nil {
		w.cfg.Log.Info("watching each directory", "root", dir.path, "reason", noFan)
		w.meter.chose(Fsnotify, "auto: the kernel reports changes of each directory; not fanotify: "+noFan.Error())
		return fs, nil
	}
	w.cfg.Log.Warn("cannot watch, polling instead", "root", dir.path, "every", w.cfg.PollEvery, "error", noFS)
	w.meter.chose(Poll, "auto: "+noFS.Error()+"; not fanotify: "+noFan.Error())
	return newPoll(w.cfg, dir, out), nil
}

// fanotify sets up fanotify where it is the best. On what others write to it is
// not: a handle there may cost a question to another host each time.
func (w *Watcher) fanotify(dir rootDir, out *outlet) (backend, error) {
	if at, ok := dir.mount(currentMounts()); ok && isRemote(at.kind) {
		return nil, fmt.Errorf("%s is %s", dir.path, at.kind)
	}
	b, err := newFanotify(w.cfg, w.pace, dir, out, true)
	if err != nil {
		return nil, err
	}
	return b, nil
}
