package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"

	"syncagent/agent/rsync"
)

const (
	// oldestRsync is the least that replication is promised to work with:
	// nanosecond times need 3.1.3.
	oldestRsync = "3.1.3"
	// safeRsync closes 33 security holes, most of them in the daemon.
	safeRsync = "3.5.0"
	// brokenRsync cannot delete listed paths as a receiver, mendedRsync can.
	brokenRsync = "3.4.3"
	mendedRsync = "3.4.4"
	// oldKernel has no statx(2), so nothing tells a directory from one that was
	// made in its place.
	oldKernel = "4.11"
)

// Years between which a clock can be right.
const (
	firstYear = 2026
	lastYear  = 2100
)

// Host looks at what both roles need of a host.
func Host(ctx context.Context, opt Options) []Finding {
	o := opt.filled()
	a, err := o.System.About()
	if err != nil {
		return []Finding{about{"os", "this host"}.fail("run it on Linux", "%v", err), o.rsync(ctx, a)}
	}
	return []Finding{
		about{"os", "this host"}.ok("%s", a.OS), kernel(a), arch(a), asker(a), o.rsync(ctx, a), clock(a),
	}
}

func kernel(a About) Finding {
	release, _, _ := strings.Cut(a.Kernel, "-")
	f := about{"kernel", "this host"}
	if rsync.Older(release, oldKernel) {
		return f.warn("install a kernel of 4.11 or later", "Linux %s cannot tell a directory from one created in its place", a.Kernel)
	}
	return f.ok("Linux %s", a.Kernel)
}

func arch(a About) Finding {
	f := about{"arch", "this host"}
	if a.Arch != "amd64" && a.Arch != "arm64" {
		return f.warn("use amd64 or arm64 where it matters", "%s works by all we know, but is not tested", a.Arch)
	}
	return f.ok("%s", a.Arch)
}

func asker(a About) Finding {
	f := about{"user", "this host"}
	if a.UID != 0 {
		return f.ok("uid %d: what follows holds for an agent run by this user", a.UID)
	}
	return f.ok("root")
}

// clock knows this host only: rsync does not tell the other's time.
func clock(a About) Finding {
	f := about{"clock", "this host"}
	if y := a.Now.Year(); y < firstYear || y > lastYear {
		return f.fail("set the clock, for example \"timedatectl set-ntp true\"", "it is %s here, which cannot be", stamp(a))
	}
	return f.ok("%s; the clocks of other hosts cannot be seen from here", stamp(a))
}

func stamp(a About) string { return a.Now.Format("2006-01-02 15:04:05 MST") }

func (o Options) rsync(ctx context.Context, a About) Finding {
	bin, version, err := o.System.Rsync(ctx)
	f := about{"rsync", bin}
	switch {
	case errors.Is(err, errNoRsync):
		f.subject = o.Rsync
		return f.fail("install it, for example \""+installCommand(a.Family)+"\"", "not installed")
	case err != nil:
		return f.fail("install rsync "+safeRsync+" or your distribution's latest", "%v", err)
	case rsync.Older(version, oldestRsync):
		return f.fail("install rsync "+safeRsync+", or at least "+oldestRsync, "version %s lacks what replication needs", version)
	case version == brokenRsync:
		return f.warn("install rsync "+safeRsync+", or at least "+mendedRsync, "version %s as a slave cannot delete listed paths, unless the distribution has mended it", version)
	case rsync.Older(version, safeRsync):
		return f.warn("compare its changes with those of "+safeRsync+": \""+changesCommand(a.Family)+"\"",
			"version %s; %s fixes 33 security holes (CVEs), which %s may have backported without changing the version", version, safeRsync, a.OS)
	}
	return f.ok("version %s", version)
}

func installCommand(family string) string {
	switch {
	case like(family, "debian"):
		return "apt-get install rsync"
	case like(family, "alpine"):
		return "apk add rsync"
	case like(family, "arch"):
		return "pacman -S rsync"
	case like(family, "suse"):
		return "zypper install rsync"
	}
	return "dnf install rsync"
}

func changesCommand(family string) string {
	switch {
	case like(family, "debian"):
		return "apt-get changelog rsync"
	case like(family, "alpine"):
		return "apk policy rsync"
	case like(family, "arch"):
		return "pacman -Qc rsync"
	}
	return "rpm -q --changelog rsync"
}

// like reports whether family names the distribution itself or as one it
// descends from.
func like(family, distribution string) bool {
	return slices.Contains(strings.Fields(family), distribution)
}
