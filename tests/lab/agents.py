# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command resctrl-mon on an emulated host."""

from __future__ import annotations

import json
import subprocess
import typing as t

from modules import PYTHON, ROOT

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from emulated_host import EmulatedHost


class Agent:
    """The command resctrl-mon on a host, with a policy of the host's own; nothing of it is the machine's."""

    def __init__(self, host: EmulatedHost) -> None:
        self.host = host
        host.domains.own_etc()
        # The agent reads the files of the system's libvirt
        host.domains.path("/run/libvirt/qemu").symlink_to("test")

    def declare(self, *rules: dict[str, t.Any], **policy: object) -> None:
        """Write the policy, as role resctrl_monitor does."""
        text = json.dumps({"domains": list(rules), **policy})
        self.host.domains.path("/etc/kvmops-resctrl/policy.json").write_text(text)

    def enforces(self) -> None:
        """Let systemd start the enforcement with the host."""
        wants = self.host.domains.path("/etc/systemd/system/timers.target.wants")
        (wants / "kvmops-resctrl.timer").symlink_to("/etc/systemd/system/kvmops-resctrl.timer")

    def opened(self, *words: str) -> list[str]:
        """What a run of the command opens, as often as it does so. Raises AssertionError if it fails."""
        log = self.host.domains.directory / "opened"
        status, _stdout, stderr = self.run(*words, before=(str(ROOT / "tests/lab/opened.py"), str(log)))
        assert status == 0, stderr
        return log.read_text(encoding="utf-8").splitlines()

    def run(self, *words: str, before: Sequence[str] = (), **environment: str) -> tuple[int, str, str]:
        """(status, stdout, stderr) of the command. `before` is put before the program, as one that runs it."""
        variables = {"PYTHONPATH": f"{ROOT}/plugins/module_utils", "PYTHONDONTWRITEBYTECODE": "1", **environment}
        argv = ["env", *(f"{name}={value}" for name, value in variables.items()), PYTHON, *before]
        argv += [f"{ROOT}/roles/resctrl_monitor/files/agent.py", "--resctrl-path", self.host.resctrl, *words]
        done = subprocess.run(self.host.domains.argv(argv), capture_output=True, check=False, timeout=120, cwd="/")
        return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
