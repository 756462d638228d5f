# MIT License, see LICENSE
"""Filters that turn the inventory into configuration files of syncagent."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible.errors import AnsibleFilterError

# What a module of a slave may say in receiver.yaml.
SLAVE_KEYS = ("path", "owner", "group", "uid", "gid", "chroot", "read_only")


def _for_host(module, host, groups):
    """Whether a module goes to a host: named itself, or in a named group."""
    slaves = module.get("slaves")
    if slaves is None:
        return True
    return any(name == host or host in groups.get(name, []) for name in slaves)


def agent_targets(hosts, hostvars):
    """Targets of a master from the hosts of a group of slaves."""
    targets = []
    for host in hosts:
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
    return dict(
        (m["name"], dict((k, m[k]) for k in SLAVE_KEYS if m.get(k) is not None))
        for m in modules
        if _for_host(m, host, groups)
    )


def agent_master_modules(modules, targets, groups):
    """The section modules of agent.yaml."""
    names = [t["name"] for t in targets]
    section = {}
    for m in modules:
        one = {"path": m.get("source") or m["path"]}
        if m.get("slaves") is not None:
            unknown = [s for s in m["slaves"] if s not in names and s not in groups]
            if unknown:
                raise AnsibleFilterError(
                    "module %s: slaves names %s, which is neither a target nor a group" % (m["name"], ", ".join(unknown))
                )
            one["targets"] = [n for n in names if _for_host(m, n, groups)]
        one.update(m.get("options") or {})
        section[m["name"]] = one
    return section


class FilterModule(object):
    """Filters of this collection."""

    def filters(self):
        """By name."""
        return {
            "agent_targets": agent_targets,
            "agent_target_map": agent_target_map,
            "agent_slave_modules": agent_slave_modules,
            "agent_master_modules": agent_master_modules,
        }
