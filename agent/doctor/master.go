package doctor

import (
	"context"

	"syncagent/agent/config"
)

// Targets asks nothing but whether every slave takes the logins of c.
func Targets(ctx context.Context, c *config.Master, opt Options) []Finding {
	modules, err := c.Modules()
	if err != nil {
		return Config("", err)
	}
	return opt.filled().targets(ctx, modules)
}

// Master looks at what the master's role needs: its own files, the sources, the
// kernel's limits, and every target. It does not judge the configuration itself;
// see Config.
func Master(ctx context.Context, c *config.Master, opt Options) []Finding {
	o := opt.filled()
	list := o.state(ctx, c.StateDir, "master")
	list = append(list, o.passwords(c)...)
	modules, err := c.Modules()
	if err != nil {
		return append(list, Config("", err)...)
	}
	for _, m := range modules {
		list = append(list, o.source(ctx, m)...)
	}
	list = append(list, o.watches(ctx, modules)...)
	return append(list, o.targets(ctx, modules)...)
}

// passwords checks each file once: who may read it, and that it holds a
// password.
func (o Options) passwords(c *config.Master) []Finding {
	var files []string
	seen := map[string]bool{}
	for _, t := range c.TargetSpecs {
		file := t.Auth.PasswordFile
		if file == "" {
			file = c.Auth.PasswordFile
		}
		if !seen[file] {
			seen[file] = true
			files = append(files, file)
		}
	}
	var list []Finding
	for _, file := range files {
		list = append(list, secret(about{"password", file}, "master", o.Files.Password(file)))
	}
	return list
}

// secret passes on what is wrong with a file of passwords; the error says how to
// mend it.
func secret(a about, role string, err error) Finding {
	if err != nil {
		return a.fail("mend it by hand, or have it written by \"agent init "+role+" --password-file FILE\"", "%v", err)
	}
	return a.ok("there, and kept from other users")
}
