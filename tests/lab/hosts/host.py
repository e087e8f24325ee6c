# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is up, as tests and commands see it."""

from __future__ import annotations

import subprocess
import typing as t

from waiting import comes

from . import domains, light, ssh
from .errors import LabError

if t.TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from emulator.control import Control

    from .state import Record, State

_PATIENCE = 180.0


def _environment(record: Record) -> dict[str, str]:
    environment = light.daemon_environment()
    return {**environment, "HOME": "/root"} if record.settings.full else environment


class Host:
    """A host that is up. Cheap to make: everything is looked up when it is asked for."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.name = state.name

    @property
    def record(self) -> Record:
        """What the lab knows about the host. Raises LabError if it is down."""
        return self.state.read()

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return self.record.address

    @property
    def control(self) -> Control:
        """A new client of the emulator's control socket. Raises LabError on a host without resctrl."""
        if not self.record.settings.resctrl:
            raise LabError(f"{self.name} has no resctrl")
        from emulator.control import Control

        return Control(str(self.state.control))

    # -- commands ------------------------------------------------------------------------------------------------------

    def argv(
        self, argv: Sequence[str | os.PathLike[str]], *, env: Mapping[str, str] | None = None, cwd: str | None = None
    ) -> list[str]:
        """`argv` as a command line of the machine that runs in all of the host's namespaces.

        The environment is the host's, plus `env`. The directory is `cwd`, or / .
        """
        record = self.record
        if record.leader is None:
            raise LabError(f"{self.name} is still booting")
        environment = {**_environment(record), **(env or {})}
        namespaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd")
        enter = ["nsenter", "--target", str(record.leader), *namespaces]
        clean = ["env", "--ignore-environment", *(["--chdir", cwd] if cwd else [])]
        return [*enter, "--", *clean, *(f"{key}={value}" for key, value in environment.items()), *map(str, argv)]

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        check: bool = True,
        input: str | None = None,  # noqa: A002  # subprocess.run's own name
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the host and returns its status and output.

        With `check`, raises LabError with the command's standard error if the status is not 0.
        """
        stdin: dict[str, t.Any] = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        done = subprocess.run(
            self.argv(argv, env=env, cwd=cwd), capture_output=True, text=True, check=False, timeout=timeout, **stdin
        )
        if check and done.returncode != 0:
            command = " ".join(map(str, argv))
            raise LabError(f"{self.name}: {command}: status {done.returncode}: {(done.stderr or done.stdout).strip()}")
        return done

    def popen(self, argv: Sequence[str | os.PathLike[str]], **options: t.Any) -> subprocess.Popen[t.Any]:
        """Starts a command in the host; `options` are subprocess.Popen's. The command is a child of the process."""
        return subprocess.Popen(self.argv(argv), **options)

    def ssh_argv(self, argv: Sequence[str]) -> list[str]:
        """`argv` as a command line of the machine that runs in the host over SSH."""
        return ssh.client_argv(self.state, self.address, argv)

    # -- power ---------------------------------------------------------------------------------------------------------

    def reboot(self) -> None:
        """Reboots a full host and returns when it is up again; its disk is kept. Raises LabError on a light host."""
        before = self.record
        if not before.settings.full:
            raise LabError(f"{self.name} has no systemd to reboot it: take it down and up")
        self.run(["systemctl", "reboot"])
        if not comes(lambda: self.record.leader not in (None, before.leader), _PATIENCE):
            raise LabError(f"{self.name} does not come up again (see {self.state.log})")

    # -- domains -------------------------------------------------------------------------------------------------------

    def virsh(self, *arguments: str) -> str:
        """The output of a virsh command on the host's own libvirtd."""
        return self.run(["virsh", "--quiet", "--connect", "qemu:///system", *arguments]).stdout

    def define(self, xml: str) -> None:
        """Defines a domain, or redefines it."""
        self.run(["virsh", "--quiet", "--connect", "qemu:///system", "define", "/proc/self/fd/0"], input=xml)

    def start(self, name: str) -> None:
        """Starts a defined domain; nothing happens if it runs."""
        if self.virsh("domstate", "--domain", name).strip() != "running":
            self.virsh("start", "--domain", name)

    def has_kvm(self) -> bool:
        """Whether domains can be of type kvm: only those can be paired."""
        return self.run(["test", "-c", "/dev/kvm"], check=False).returncode == 0

    def rfc_domains(self) -> list[str]:
        """Defines vm1, vm2 and vm3 and starts the latter two. Returns what could not be had, in sentences."""
        return domains.make_rfc_domains(self)
