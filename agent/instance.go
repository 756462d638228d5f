package agent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"syncagent/agent/config"
	"syncagent/agent/rsync"
	"syncagent/agent/tree"
	"syncagent/rsyncd"
)

// greetEvery is how often a target that is given nothing is asked who it is: one
// that was put in its place meanwhile must not stay "in sync".
const greetEvery = time.Minute

// instance is what a target's daemon was, when it was last asked.
type instance struct {
	place string // of the module's directory; noPlace when the daemon does not tell
	boot  string
}

const noPlace = "unknown"

// known is false before the first greeting of all.
func (i instance) known() bool { return i.place != "" }

// String is the form that stands in the journal.
func (i instance) String() string {
	if !i.known() {
		return ""
	}
	return i.place + "/" + i.boot
}

func parseInstance(s string) instance {
	place, boot, _ := strings.Cut(s, "/")
	return instance{place, boot}
}

// greeted takes what the daemon says of itself. It fails when the slave says that
// it does not serve the module at present.
func (r *Replica) greeted(g rsync.Greeting) error {
	n, ours := rsyncd.ParseNotice(g.MOTD)
	m := n.Modules[n.Key(r.target.Module)]
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.target.Transport == config.TransportSSH { // there is no daemon to tell anything
		r.remote = sshRemote(*r.target.SSH)
		return nil
	}
	r.remote = remote{known: true, ours: ours, links: orUnknown(n.Links), owners: orUnknown(n.Owners)}
	if m.Out { // what stands in its place is not what we shall compare with
		return &rsync.Error{
			Class: rsync.Refused, Code: -1,
			Text: fmt.Sprintf("the slave has taken module %s out of service: its directory there is missing, or another one", r.target.Module),
			Hint: "\"agent doctor\" on the slave says what to do",
		}
	}
	now := instance{place: m.Place, boot: n.Boot}
	if now.place == "" {
		now.place = noPlace
	}
	r.recognise(now)
	return nil
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// recognise compares the daemon with the one that was last asked. Another place
// is another target: all of it may differ, and nobody knows whose the things are
// that only it has. After a new start alone what it confirmed last may not have
// reached its disk. Needs the lock.
func (r *Replica) recognise(now instance) {
	was := r.instance
	if was == now {
		return
	}
	r.instance = now
	poke(r.saveUp)
	switch {
	case !was.known():
	case was.place != now.place:
		if was.place == noPlace { // a module that the slave did not have yet is no alarm
			r.log.Info("target serves the module now, or tells for the first time where, comparing everything")
		} else {
			r.log.Warn("target is not the one it was, comparing everything")
		}
		r.sweeps.firstDone, r.sweeps.complete = false, false
		clear(r.surplus) // was seen on the other one, as what was approved
		clear(r.gate.approved)
		r.another = time.Now()
		r.missed()
	default:
		r.log.Info("target was started anew, comparing everything")
		r.missed()
	}
}

// older reports whether a mark that was made at some time is about the slave that
// was there before, and what this one has is still to be held: what is missing
// is then left to the sweep. A path that fails was marked when it began to. Needs the
// lock.
func (r *Replica) older(p tree.Path, since time.Time) bool {
	if t := r.retries[p]; t != nil {
		since = earliest(since, t.since)
	}
	return since.Before(r.another) && r.holdsFirst()
}

// greeter asks a target now and then who it is.
func (r *Replica) greeter(ctx context.Context) error {
	if r.target.Transport == config.TransportSSH {
		return nil
	}
	tick := time.NewTicker(greetEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		r.mu.Lock()
		skip := !r.remote.known || r.outage.err != nil || r.flight.marks > 0 // asked anyway, or busy
		r.mu.Unlock()
		if skip {
			continue
		}
		g, err := r.probe(ctx)
		if err != nil {
			continue // the next push will tell
		}
		if err := r.greeted(g); err != nil {
			r.mu.Lock()
			r.pause(err)
			r.missed() // else nothing would notice when it is back
			r.mu.Unlock()
		}
	}
}
