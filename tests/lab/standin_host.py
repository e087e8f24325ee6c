# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host in a fifth of a second: stand-in domains and an emulated resctrl, on which modules run as processes."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import typing as t

from modules import run_module
from standins import Standin, Standins

from emulator.control import Control
from emulator.faults import Operation

if t.TYPE_CHECKING:
    from collections.abc import Sequence

_LAB = pathlib.Path(__file__).resolve().parent
# What changes resctrl
_CHANGES = ("mkdir", "rmdir", "write", "rename", "chmod", "chown")


class StandinHost:
    """Domains (`domains`), resctrl at the path `resctrl`, and what steers it (`control`); a context manager.

    `directory` is for its files, and exists. Groups are named by their paths relative to the root of resctrl.
    """

    def __init__(self, directory: pathlib.Path, profile: str = "intel-6.1", settings: Sequence[str] = ()) -> None:
        self.domains = Standins(directory)
        self.resctrl = str(directory / "resctrl")
        self.control = Control(str(directory / "control"))
        self._options = ["--profile", profile, *(word for setting in settings for word in ("--set", setting))]
        self._emulator: subprocess.Popen[str] | None = None

    def __enter__(self) -> StandinHost:
        self.domains.__enter__()
        pathlib.Path(self.resctrl).mkdir()
        self.unmount()  # the machine may have a resctrl of its own
        command = [sys.executable, "-m", "emulator", self.resctrl, *self._options]
        command += ["--control", self.control.path, "--die-with-parent"]
        env = {**os.environ, "PYTHONPATH": str(_LAB)}
        self._emulator = subprocess.Popen(self.domains.argv(command), stdout=subprocess.PIPE, text=True, env=env)
        assert self._emulator.stdout
        if self._emulator.stdout.readline() != "ready\n":
            self.__exit__()
            raise RuntimeError("the emulator did not start")
        return self

    def __exit__(self, *_exc: object) -> None:
        self.control.close()
        if self._emulator:
            # Its mount goes with the namespace
            self._emulator.kill()
            self._emulator.communicate()
        self.domains.__exit__()

    # -- modules

    def run(
        self, module: str, *, check: bool = False, diff: bool = False, words: Sequence[str] = (), **options: t.Any
    ) -> dict[str, t.Any]:
        """The result of a module's run on this host. `words` are put before its command line, as `nice` would be."""
        options = {"uri": self.domains.uri, "resctrl_path": self.resctrl, **options}
        return run_module(
            module, options, check=check, diff=diff, inside=lambda command: self.domains.argv([*words, *command])
        )

    # -- resctrl

    @property
    def cache(self) -> int:
        """The id of the first L3 cache, which is the machine's own unless the profile says otherwise."""
        ids = self.domains.path(self.resctrl).joinpath("mon_data").iterdir()
        return min(int(path.name.rpartition("_")[2]) for path in ids)

    def unmount(self) -> None:
        """Leave the host without resctrl. Nobody else sees that."""
        command = ["umount", "--all", "--lazy", "--types", "resctrl,fuse.resctrl"]
        subprocess.run(self.domains.argv(command), check=True)

    def group(self, domain: Standin, parent: str = "") -> str:
        """The group of ours that counts a domain, in the CTRL_MON group `parent`."""
        return f"{parent}/mon_groups/kvmops-{domain.uuid}".lstrip("/")

    def path(self, group: str) -> str:
        """A group as the modules' results name it."""
        return f"{self.resctrl}/{group}".rstrip("/")

    def groups(self) -> dict[str, set[int]]:
        """The groups and their threads; those of MON groups are not listed for their CTRL_MON groups too."""
        groups = self.control.snapshot()["groups"]
        return {path: set(group["tasks"]) for path, group in groups.items() if path}

    def make_group(self, group: str, *tids: int) -> str:
        """Make a group as another program would, and move threads into it."""
        path = self.domains.path(self.path(group))
        path.mkdir()
        for tid in tids:
            (path / "tasks").write_text(f"{tid}\n", encoding="ascii")
        return group

    def enable(self, domain: Standin) -> str:
        """Let a domain be as a run of resctrl_mon leaves it; its group."""
        return self.make_group(self.group(domain), *domain.vcpus.values())

    def remove_group(self, group: str) -> None:
        """Remove a group as another program would."""
        self.domains.path(self.path(group)).rmdir()

    def changes(self) -> list[Operation]:
        """What was done to resctrl since the last call."""
        operations = self.control.log(*_CHANGES)
        self.control.clear_log()
        return operations
