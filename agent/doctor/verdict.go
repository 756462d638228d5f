package doctor

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"syncagent/agent/rsync"
	"syncagent/rsyncd"
)

// judgePort tells a service that does not run from a host that does not answer.
func judgePort(a about, address string, g rsync.Greeting, err error) Finding {
	if err == nil {
		return judgeProtocol(a, address, g)
	}
	var re *rsync.Error
	var dns *net.DNSError
	var op *net.OpError
	dialing := errors.As(err, &op) && op.Op == "dial"
	switch {
	case errors.As(err, &dns):
		return a.fail("mend the name in the configuration, /etc/hosts or the DNS", "%s: the host name does not resolve: %v", address, dns)
	case errors.Is(err, syscall.ECONNREFUSED):
		return a.fail("start it on the slave, for example \"systemctl start syncagent-receiver\", and compare the ports",
			"%s refuses the connection: the host is up, the service does not run there", address)
	case dialing && op.Timeout():
		return a.fail("let the port through the firewalls of both hosts and between them, or start the host",
			"%s does not answer: a firewall drops the connection, or the host is down", address)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return a.fail("look at the host, the routes, and the firewalls that may reject the port",
			"%s cannot be reached: the host is down, there is no route, or a firewall rejects the connection", address)
	case errors.As(err, &re) && re.Class == rsync.Incompatible:
		return a.fail("compare host and port with the slave's", "something other than an rsync daemon answers at %s: %s", address, re.Text)
	}
	return a.fail("see the slave's log; restart its receiver", "%s takes the connection but does not greet: %v", address, err)
}

// judgeProtocol says what the version of the protocol gives away of the slave's
// rsync.
func judgeProtocol(a about, address string, g rsync.Greeting) Finding {
	switch {
	case rsync.Older(g.Protocol, "31"):
		return a.fail("install rsync "+safeRsync+" on the slave", "%s answers with protocol %s: its rsync is older than 3.1.0", address, g.Protocol)
	case rsync.Older(g.Protocol, "32"):
		return a.warn("install rsync "+safeRsync+" on the slave, or your distribution's latest",
			"%s answers with protocol %s: its rsync is older than 3.4.0 and may lack fixes of security holes", address, g.Protocol)
	}
	return a.ok("%s answers, protocol %s", address, g.Protocol)
}

// lossy tells what a receiver says that it cannot keep.
func lossy(a about, motd []string) []Finding {
	n, _ := rsyncd.ParseNotice(motd)
	if n.Links != "munged" && n.Owners != "lost" {
		return nil
	}
	return []Finding{a.warn("run the slave's receiver as root, with chroot",
		"not everything is kept there: links=%s owners=%s", n.Links, n.Owners)}
}

// judgeLogin tells what became of a login, and of the delete it tried.
func (o Options) judgeLogin(v *visit, welcome bool) []Finding {
	in, del := about{"login", v.name()}, about{"delete", v.name()}
	var e *rsync.Error
	switch {
	case v.err == nil:
		return []Finding{in.ok("accepted at %s", v.dest), del.ok("the slave takes --delete-missing-args")}
	case !errors.As(v.err, &e):
		return []Finding{in.fail("ask again", "%v", v.err)}
	case cannotDelete(e):
		return []Finding{in.ok("accepted at %s", v.dest), del.fail(
			"install rsync "+safeRsync+", or at least "+mendedRsync+", on the slave, and let \"agent init slave\" write its rsyncd.conf",
			"the slave does not take --delete-missing-args: %s", e.Text)}
	case unknownOrDenied(e):
		return []Finding{o.judgeRefusal(in, v, welcome, e)}
	case e.Class == rsync.Auth && v.dest.PasswordFile != "" && o.Files.Password(v.dest.PasswordFile) != nil:
		return []Finding{in.warn("mend the password file first", "cannot be tried without the password in %s", v.dest.PasswordFile)}
	case e.Class == rsync.Auth:
		return []Finding{in.fail("give both sides the same user and password: compare "+v.dest.PasswordFile+" with the slave's secrets file",
			"%s does not take user %q with this password: %s", v.dest, v.dest.User, e.Text)}
	}
	remedy := e.Hint
	if remedy == "" {
		remedy = "see the slave's rsync daemon log"
	}
	return []Finding{in.fail(remedy, "%s: %s", v.dest, cause(e))}
}

// cause is what rsync said, or what kept it from saying anything.
func cause(e *rsync.Error) string {
	if e.Text == "" && e.Err != nil {
		return e.Err.Error()
	}
	return e.Text
}

// cannotDelete recognises both ways in which a receiver says no to a listed
// path that is missing: see the package's comment.
func cannotDelete(e *rsync.Error) bool {
	return strings.Contains(e.Text, "invalid file mode 00") || strings.Contains(e.Text, "delete-missing-args") ||
		e.Class == rsync.Partial && strings.Contains(e.Text, "skipping non-regular file")
}

// letIn reports whether the slave knew the module and took the host's address,
// which it looks at before it asks for a password.
func letIn(err error) bool {
	var e *rsync.Error
	if err == nil || !errors.As(err, &e) {
		return err == nil
	}
	return e.Class == rsync.Auth || e.Class == rsync.ReadOnly || cannotDelete(e) || e.Class == rsync.Refused && !unknownOrDenied(e)
}

// unknownOrDenied recognises the answers about the module's name and the host's
// address; with "list = no" the first stands for both.
func unknownOrDenied(err error) bool {
	var e *rsync.Error
	return errors.As(err, &e) && e.Class == rsync.Refused &&
		(strings.Contains(e.Text, "Unknown module") || strings.Contains(e.Text, "access denied"))
}

func (o Options) judgeRefusal(a about, v *visit, welcome bool, e *rsync.Error) Finding {
	from := o.Network.Source(v.dest.Address())
	if from == "" {
		from = "this host's address"
	}
	deny := fmt.Sprintf("put %s under allow in the slave's receiver.yaml", from)
	name := fmt.Sprintf("add module %s on the slave, or correct its name", v.dest.Module)
	switch {
	case strings.Contains(e.Text, "access denied"):
		return a.fail(deny, "%s does not let this host in: %s", v.dest.Address(), e.Text)
	case welcome:
		return a.fail(name, "%s has no module %s; it lets this host into others", v.dest.Address(), v.dest.Module)
	}
	return a.fail(deny+"; "+name, "%s either does not let this host in or has no module %s: it gives one answer to both",
		v.dest.Address(), v.dest.Module)
}
