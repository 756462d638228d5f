# MIT License, see LICENSE
"""Checks the arguments of agent_init on the controller, and answers a check
run for a host that has no agent yet."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json

from ansible.plugins.action import ActionBase

PROGRAMS = ("/usr/local/bin/agent", "/usr/bin/agent")

# No no_log and no choices on what may be secret: the values would be refused
# (encrypted strings) or repeated (choices) by the versions we support.
ARGUMENTS = {
    "role": {"type": "str", "required": True, "choices": ["master", "slave"]},
    "config": {"type": "dict"},
    "password": {"type": "str"},
    "users": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "password": {"type": "str", "required": True},
        },
    },
    "rotate": {"type": "str", "choices": ["accept", "switch", "drop"]},
    "user": {"type": "str"},
    "service": {"type": "str", "choices": ["auto", "systemd", "none"], "default": "auto"},
    "force": {"type": "bool", "default": False},
    "dir": {"type": "path"},
    "root": {"type": "path"},
    "program": {"type": "path"},
    "controller_program": {"type": "path"},
}


class ActionModule(ActionBase):
    """The controller's half of the module."""

    TRANSFERS_FILES = True

    def run(self, tmp=None, task_vars=None):
        """Run the module on the host, or the controller's program there."""
        result = super(ActionModule, self).run(tmp, task_vars)
        checked = self.validate_argument_spec(
            argument_spec=ARGUMENTS,
            required_one_of=[("config", "rotate")],
            mutually_exclusive=[("config", "rotate"), ("users", "rotate"), ("users", "password")],
            required_by={"rotate": ("user",)},
        )[1]
        args = dict((name, value) for name, value in checked.items() if value is not None)
        program = args.pop("controller_program", None)
        if self._task.check_mode and not self._installed(task_vars):
            result.update(self._foretell(args, program))
        else:
            result.update(
                self._execute_module(module_name=self._task.action, module_args=args, task_vars=task_vars)
            )
        return result

    def _installed(self, task_vars):
        return any(
            self._execute_remote_stat(path, all_vars=task_vars, follow=True, checksum=False).get("exists")
            for path in PROGRAMS
        )

    def _foretell(self, args, program):
        """Ask the controller's program, from the host's temporary directory."""
        if not program:
            return {
                "changed": True,
                "warnings": ["agent is not installed yet, so what it would change is not known"],
            }
        args.setdefault("program", PROGRAMS[0])
        args["_ansible_check_mode"] = True
        args["_ansible_diff"] = self._task.diff
        tmp = self._make_tmp_path()
        try:
            agent = self._connection._shell.join_path(tmp, "agent")
            file = self._connection._shell.join_path(tmp, "args")
            self._transfer_file(program, agent)
            self._transfer_data(file, json.dumps(args))
            self._fixup_perms2((tmp, agent, file))
            answer = self._low_level_execute_command(
                "%s ansible-module %s" % (agent, file), sudoable=True
            )
        finally:
            self._remove_tmp_path(tmp, force=True)
        return self._understand(answer)

    @staticmethod
    def _understand(answer):
        lines = answer.get("stdout", "").strip().splitlines() or [""]
        try:
            report = json.loads(lines[-1])
        except ValueError:
            return {
                "failed": True,
                "msg": "the controller's agent gave no answer on this host: is it of the host's architecture?",
                "rc": answer.get("rc"),
            }
        report.setdefault("warnings", []).append(
            "agent is not installed yet: the controller's own was asked what it would change"
        )
        return report
