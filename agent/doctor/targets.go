package doctor

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"syncagent/agent/config"
	"syncagent/agent/rsync"
)

// atOnce is how many slaves are asked at a time.
const atOnce = 8

// visit is one module on one target.
type visit struct {
	module  string // here
	target  string
	dest    rsync.Dest
	options rsync.Options
	err     error // of the login
}

func (v *visit) name() string { return v.module + " on " + v.target }

// targets asks every slave, some at a time, and keeps the order of the
// configuration. Targets that share host and port are one daemon.
func (o Options) targets(ctx context.Context, modules []config.Module) []Finding {
	daemons := visits(modules)
	lists := make([][]Finding, len(daemons))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, group := range daemons {
		g.Go(func() error {
			lists[i] = o.daemon(ctx, group)
			return nil
		})
	}
	_ = g.Wait() // nobody returns an error
	return slices.Concat(lists...)
}

// visits groups all modules and targets by daemon.
func visits(modules []config.Module) [][]*visit {
	var groups [][]*visit
	index := map[string]int{}
	for _, m := range modules {
		for _, t := range m.Targets {
			v := &visit{module: m.Name, target: t.Name, options: optionsOf(m, t), dest: rsync.Dest{
				Host: t.Host, Port: t.Port, Module: t.Module, Dir: t.Dir, User: t.Auth.User, PasswordFile: t.Auth.PasswordFile,
			}}
			at := v.dest.Address()
			if t.Transport == config.TransportSSH {
				v.dest = sshDest(t)
				at = v.dest.String()
			}
			i, known := index[at]
			if !known {
				i = len(groups)
				index[at] = i
				groups = append(groups, nil)
			}
			groups[i] = append(groups[i], v)
		}
	}
	return groups
}

func optionsOf(m config.Module, t config.Target) rsync.Options {
	o := m.Rsync
	return rsync.Options{
		Compress: o.Compress, Bwlimit: t.Bwlimit, Xattrs: o.Xattrs, ACLs: o.ACLs,
		HardLinks: o.HardLinks, NumericIDs: o.NumericIDs, Extra: o.Extra,
	}
}

// daemon asks one slave: first whether anything answers, then for each login.
func (o Options) daemon(ctx context.Context, group []*visit) []Finding {
	v := group[0]
	if v.dest.SSH != nil {
		return o.overSSH(ctx, group)
	}
	greeting, err := o.greet(ctx, v.dest)
	list := []Finding{judgePort(about{"port", v.target}, v.dest.Address(), greeting, err)}
	if err != nil {
		return list
	}
	list = append(list, lossy(about{"fidelity", v.target}, greeting.MOTD)...)
	for _, v := range group {
		v.err = o.login(ctx, v)
	}
	welcome := slices.ContainsFunc(group, func(v *visit) bool { return letIn(v.err) })
	for _, v := range group {
		list = append(list, o.judgeLogin(v, welcome)...)
	}
	return list
}

func (o Options) greet(ctx context.Context, d rsync.Dest) (rsync.Greeting, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Patience)
	defer cancel()
	return o.Network.Greet(ctx, d)
}

// loginPatience is what a login may take in units of Patience: it is a whole
// run of rsync, and the slave may be looking up names.
const loginPatience = 3

func (o Options) login(ctx context.Context, v *visit) error {
	ctx, cancel := context.WithTimeout(ctx, loginPatience*o.Patience)
	defer cancel()
	opt := v.options
	opt.ConnectTimeout, opt.Timeout, opt.Stall = o.Patience, 2*o.Patience, 2*o.Patience
	return o.Network.Login(ctx, v.dest, opt)
}
