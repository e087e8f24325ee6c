# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests do with a host, whatever its domains and its resctrl are: real ones, stand-ins or an emulator."""

from __future__ import annotations

import abc
import typing as t

from modules import Result, only, succeeded
from waiting import while_busy

if t.TYPE_CHECKING:
    import pathlib


class ResctrlHost(abc.ABC):
    """A host on which modules run, and whose groups are looked at and changed as another program would.

    Groups are named by their paths relative to the root of resctrl, which the host has at `resctrl`.
    """

    resctrl: str

    # -- the modules

    @abc.abstractmethod
    def run(self, module: str, *, check: bool = False, diff: bool = False, **options: t.Any) -> Result:
        """The result of a module's run on this host, whether it failed or not."""

    def mon(self, *names: str, **options: t.Any) -> Result:
        """The result of resctrl_mon, whether it failed or not."""
        return self.run("resctrl_mon", name=list(names), **options)

    def info(self, *names: str) -> Result:
        """The result of resctrl_info for some domains, or for all; it must succeed."""
        options: Result = {"name": list(names)} if names else {}
        return succeeded(self.run("resctrl_info", **options))

    def query(self, name: str) -> Result:
        """What resctrl_info says about one domain."""
        return only(self.info(name))

    def all_stats(self, **options: t.Any) -> Result:
        """What resctrl_stats says about the domains, by name; it must succeed."""
        result = succeeded(self.run("resctrl_stats", **options))
        return t.cast(Result, result["ansible_facts"]["resctrl_stats"]["domains"])

    def stats(self, name: str, **options: t.Any) -> Result:
        """What resctrl_stats says about one domain."""
        return t.cast(Result, self.all_stats(name=[name], **options)[name])

    # -- resctrl

    @abc.abstractmethod
    def seen(self, group: str = "") -> pathlib.Path:
        """The directory of a group, as this process sees it."""

    @abc.abstractmethod
    def groups(self) -> dict[str, set[int]]:
        """The groups but the root, and their threads; a MON group's are not listed for its CTRL_MON group too."""

    def path(self, group: str) -> str:
        """The directory of a group, as the host sees it and the modules' results name it."""
        return f"{self.resctrl}/{group}".rstrip("/")

    def make_group(self, group: str, *tids: int) -> str:
        """Make a group as another program would, and move threads into it. RMIDs in limbo are waited for."""
        while_busy(self.seen(group).mkdir)
        self.move(group, *tids)
        return group

    def move(self, group: str, *tids: int) -> None:
        """Move threads into a group as another program would; "" is the root."""
        for tid in tids:
            (self.seen(group) / "tasks").write_text(f"{tid}\n", encoding="ascii")

    def remove_group(self, group: str) -> None:
        """Remove a group as another program would."""
        self.seen(group).rmdir()
