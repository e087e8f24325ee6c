# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cgroups of a domain's threads tell: how long a CPU limit held them back, how long they lacked memory.

Version 2 of cgroups, and version 1 where it has the cpu controller (Documentation/admin-guide/cgroup-v2.rst,
Documentation/scheduler/sched-bwc.rst, Documentation/accounting/psi.rst).
"""

from __future__ import annotations

import functools
import os
import re
import typing as t

from ..kernel.files import read_if_there
from ..kernel.mounts import unescaped

# The key in cpu.stat, and how many of its units are a second: those of version 2, then of version 1
_THROTTLED = (("throttled_usec", 1e6), ("throttled_time", 1e9))
_STALLED = re.compile(r"^some .*total=([0-9]+)$", re.MULTILINE)
# What several domains may share is no limit of one of them: a slice, the service of a manager that leaves its QEMUs
# there, a login in which they were started, a container's init
_SHARED = re.compile(r".*(\.slice|\.service|/session-[^/]*\.scope|/init\.scope)", re.DOTALL)


class Cgroups:
    """The cgroups of threads. `proc` can be a test's."""

    def __init__(self, proc: str = "/proc") -> None:
        self.proc = proc

    @functools.cached_property
    def _mounts(self) -> dict[str, str]:
        """Where version 2 is mounted (""), and where the cpu controller of version 1 is ("cpu")."""
        found: dict[str, str] = {}
        for line in read_if_there(f"{self.proc}/self/mounts").split("\n"):
            fields = line.split(" ")
            if len(fields) < 4:
                continue
            path = unescaped(fields[1])
            if fields[2] == "cgroup2":
                found.setdefault("", path)
            elif fields[2] == "cgroup" and "cpu" in fields[3].split(","):
                found.setdefault("cpu", path)
        return found

    def _group(self, pid: int, tid: int, controller: str) -> str:
        """The directory of a thread's cgroup, in version 1 for the cpu controller; "" where there is none."""
        for line in read_if_there(f"{self.proc}/{pid}/task/{tid}/cgroup").split("\n"):
            _number, _colon, rest = line.partition(":")
            controllers, _colon, path = rest.partition(":")
            # A path outside of the reader's cgroup namespace begins with /..
            if path and controller in controllers.split(",") and controller in self._mounts and "/.." not in path:
                return os.path.normpath(self._mounts[controller] + path)
        return ""

    def throttled(self, pid: int, tids: t.Iterable[int]) -> dict[str, float] | None:
        """cgroup -> the seconds for which its CPU limit held threads back, for all cgroups that the threads are in.

        None where none of them tells. A cgroup without a limit tells 0.
        """
        controller = "cpu" if "cpu" in self._mounts else ""
        root = self._mounts.get(controller, "")
        own = {self._group(pid, tid, controller) for tid in tids} - {""}
        if own == {root}:
            # The root has no limit, and so has who is in it
            return {root: 0.0}
        found = {path: _throttled(path) for path in sorted({one for path in own for one in _upwards(path, root)})}
        known = {path: seconds for path, seconds in found.items() if seconds is not None}
        return known or None

    def stalled(self, pid: int, tids: t.Iterable[int]) -> float | None:
        """The seconds for which a thread or more of the domain's own cgroup waited for memory; None where not told."""
        own = {self._group(pid, tid, "") for tid in (pid, *tids)} - {""}
        path = os.path.commonpath(own) if own else ""
        if not path or path == self._mounts[""] or _SHARED.fullmatch(path):
            return None
        match = _STALLED.search(read_if_there(f"{path}/memory.pressure"))
        return int(match.group(1)) / 1e6 if match else None


def _upwards(path: str, root: str) -> t.Iterator[str]:
    """A cgroup and those around it, as far as they are one domain's."""
    while path.startswith(f"{root}/") and not _SHARED.fullmatch(path):
        yield path
        path = os.path.dirname(path)


def _throttled(path: str) -> float | None:
    values = dict(line.split(" ", 1) for line in read_if_there(f"{path}/cpu.stat").split("\n") if " " in line)
    return next((int(values[key]) / units for key, units in _THROTTLED if key in values), None)
