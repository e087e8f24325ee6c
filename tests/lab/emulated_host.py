# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host in a fifth of a second: stand-in domains and an emulated resctrl."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import typing as t

from modules import Result, run_module
from standin_host import StandinHost

from emulator.control import Control
from emulator.profiles import load

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from emulator.faults import Operation

_LAB = pathlib.Path(__file__).resolve().parent
# What changes resctrl
CHANGES = ("mkdir", "rmdir", "write", "rename", "chmod", "chown")


# A /proc over the namespace's own, which stays reachable at another place
_OVER_PROC = """
mkdir "$1"
mount --rbind /proc "$1"
real=$1 python=$2
shift 2
exec "$python" -m emulator.procfs /proc --real "$real" "$@"
"""


class EmulatedHost(StandinHost):
    """Stand-in domains, an emulated resctrl, and what steers it (`control`). The emulator's profiles say which.

    Where the host `tells_groups`, its /proc is that of a kernel that tells each thread's group, and resctrl seems to be
    the kernel's own; it is then mounted with `mount_options` too, such as mba_MBps. It then seems to run so many
    `threads` that to ask for a thread's group is cheaper than to list the threads of each group.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        profile: str = "intel-6.1",
        settings: Sequence[str] = (),
        *,
        tells_groups: bool = False,
        threads: int = 20000,
        mount_options: Sequence[str] = (),
        own_pids: bool = False,
    ) -> None:
        super().__init__(directory, own_pids=own_pids)
        self.resctrl = str(directory / "resctrl")
        self.control = Control(str(directory / "control"))
        self._options = ["--profile", profile, *(word for setting in settings for word in ("--set", setting))]
        self._proc_options = [word for option in mount_options for word in ("--option", option)]
        self._tells_groups = tells_groups
        self._threads = threads
        self._architecture = load(profile, settings).architecture
        self._servers: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        super().__enter__()
        pathlib.Path(self.resctrl).mkdir()
        self.unmount()  # the machine may have a resctrl of its own
        try:
            self._serve([sys.executable, "-m", "emulator", self.resctrl, *self._options])
            if self._architecture:
                self.domains.cover("/proc/sys/kernel/arch", f"{self._architecture}\n")
            if self._tells_groups:
                self.domains.seem_crowded(self._threads)
                real = str(self.domains.directory / "proc")
                self._serve(["sh", "-ec", _OVER_PROC, "sh", real, sys.executable, *self._proc_options])
        except RuntimeError:
            self.__exit__()
            raise
        return self

    def _serve(self, command: Sequence[str]) -> None:
        """Start a filesystem. Raises RuntimeError."""
        argv = self.domains.argv([*command, "--control", self.control.path, "--die-with-parent"])
        env = {**os.environ, "PYTHONPATH": str(_LAB)}
        server = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env)
        self._servers.append(server)
        assert server.stdout
        if server.stdout.readline() != "ready\n":
            raise RuntimeError(f"this did not start: {' '.join(command)}")

    def __exit__(self, *_exc: object) -> None:
        self.control.close()
        for server in reversed(self._servers):
            # Its mount goes with the namespace
            server.kill()
            server.communicate()
        super().__exit__()

    def run(
        self, module: str, *, check: bool = False, diff: bool = False, words: Sequence[str] = (), **options: t.Any
    ) -> Result:
        """The result of a module's run on this host. `words` are put before its command line, as `nice` would be."""
        options = {"uri": self.domains.uri, "resctrl_path": self.resctrl, **options}
        return run_module(
            module, options, check=check, diff=diff, inside=lambda command: self.domains.argv([*words, *command])
        )

    def run_program(self, argv: Sequence[str], environment: dict[str, str], timeout: float) -> tuple[int, str]:
        """(status, stdout and stderr) of a program on this host, such as Ansible."""
        done = subprocess.run(
            self.domains.argv(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=timeout,
        )
        return done.returncode, done.stdout + done.stderr

    def seen(self, group: str = "") -> pathlib.Path:
        """The directory of a group, as this process sees it."""
        return self.domains.path(self.path(group))

    def groups(self) -> dict[str, set[int]]:
        """The groups but the root, and their threads, by the emulator's own word: nothing of resctrl is read."""
        return groups_of(self.control)

    def changes(self) -> list[Operation]:
        """What modules did to resctrl, or tried to, since the last call; what tests did themselves is not told."""
        operations = self.control.log(*CHANGES)
        self.control.clear_log()
        ours = {int(name) for name in os.listdir("/proc/self/task")}
        return [operation for operation in operations if operation.tid not in ours]

    @property
    def cache(self) -> int:
        """The id of the first L3 cache, which is the machine's own unless the profile says otherwise."""
        return min(int(path.name.rpartition("_")[2]) for path in (self.seen() / "mon_data").iterdir())


def groups_of(control: Control) -> dict[str, set[int]]:
    """The groups of an emulator but the root, and the threads whose own place each is."""
    groups = control.snapshot()["groups"]
    return {path: set(group["tasks"]) for path, group in groups.items() if path}
