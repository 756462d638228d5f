# MIT License, see LICENSE
"""Filters that turn the inventory into configuration files of syncagent."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import ipaddress

from ansible.errors import AnsibleFilterError

# What a module of a slave may say in receiver.yaml.
SLAVE_KEYS = ("path", "owner", "group", "uid", "gid", "chroot", "read_only")


def _concerns(names, host, groups):
    """Whether a list of hosts and groups, or no list at all, includes a host."""
    return names is None or any(name == host or host in groups.get(name, []) for name in names)


def _address(text):
    """The IP address or network that a text says, or None."""
    try:
        return ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        return None


def _once(modules):
    """The modules, of which no two may have one name."""
    names = [m["name"] for m in modules]
    twice = sorted(set(n for n in names if names.count(n) > 1))
    if twice:
        raise AnsibleFilterError("module %s stands twice in the list: give one another name" % ", ".join(twice))
    return modules


def agent_targets(hosts, hostvars, master):
    """Targets of a master from the hosts of a group of slaves, of which it may be one."""
    targets = []
    for host in hosts:
        if host == master:
            continue
        known = hostvars[host]
        address = known.get("agent_slave_reachable_at") or known.get("ansible_host") or host
        target = {"name": host, "host": address}
        port = known.get("agent_slave_port")
        if port:
            target["port"] = port
        targets.append(target)
    return targets


def agent_target_map(targets):
    """The section targets of agent.yaml."""
    section = {}
    for t in targets:
        one = dict((k, t[k]) for k in ("host", "port") if t.get(k) is not None)
        one.update(t.get("options") or {})
        section[t["name"]] = one
    return section


def agent_slave_modules(modules, host, groups):
    """The section modules of receiver.yaml on one host."""
    here = [m for m in modules if _concerns(m.get("slaves"), host, groups)]
    return dict((m["name"], dict((k, m[k]) for k in SLAVE_KEYS if m.get(k) is not None)) for m in _once(here))


def agent_master_modules(modules, targets, groups, master):
    """The section modules of agent.yaml."""
    names = [t["name"] for t in targets]
    section = {}
    for m in _once([m for m in modules if _concerns(m.get("masters"), master, groups)]):
        one = {"path": m.get("source") or m["path"]}
        if m.get("slaves") is not None:
            unknown = [s for s in m["slaves"] if s not in names and s not in groups]
            if unknown:
                raise AnsibleFilterError(
                    "module %s: slaves names %s, which is neither a target nor a group" % (m["name"], ", ".join(unknown))
                )
            one["targets"] = [n for n in names if _concerns(m["slaves"], n, groups)]
        one.update(m.get("options") or {})
        section[m["name"]] = one
    return section


def agent_comes_from(masters, hostvars):
    """Addresses of masters as slaves see them; the name of one of which it is not known."""
    addresses = []
    for master in masters:
        known = hostvars[master]
        address = known.get("agent_master_comes_from")
        if not address:
            address = known.get("ansible_host") or master
            net = _address(address)
            if net is None or net.is_loopback:
                address = master  # a name, or where the controller is
        addresses.append(address)
    return addresses


def agent_no_addresses(texts):
    """Those of the texts that are no IP address or network."""
    return [t for t in texts if _address(t) is None]


def agent_contested(modules, host, masters, hostvars, groups):
    """Modules of a slave that more than one master would push, each with the masters."""
    contested = []
    for m in modules:
        if not _concerns(m.get("slaves"), host, groups):
            continue
        pushing = []
        for master in masters:
            known = hostvars[master]
            theirs = known.get("agent_master_modules", known.get("agent_common_modules", modules))
            if master != host and any(
                t["name"] == m["name"] and _concerns(t.get("masters"), master, groups) and _concerns(t.get("slaves"), host, groups)
                for t in theirs
            ):
                pushing.append(master)
        if len(pushing) > 1:
            contested.append("%s by %s" % (m["name"], " and ".join(pushing)))
    return contested


def agent_said(findings):
    """What the doctor found, a line each, the way it prints them."""
    return [
        "%s: %s%s" % (" ".join([f["check"], f.get("subject", "")]).strip(), f["text"], "; " + f["remedy"] if f.get("remedy") else "")
        for f in findings
    ]


class FilterModule(object):
    """Filters of this collection."""

    def filters(self):
        """By name."""
        return {
            "agent_targets": agent_targets,
            "agent_target_map": agent_target_map,
            "agent_slave_modules": agent_slave_modules,
            "agent_master_modules": agent_master_modules,
            "agent_comes_from": agent_comes_from,
            "agent_no_addresses": agent_no_addresses,
            "agent_contested": agent_contested,
            "agent_said": agent_said,
        }
