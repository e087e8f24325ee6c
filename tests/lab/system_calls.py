# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The system calls by which a program changes resctrl, as strace writes them: on a real kernel nothing else tells."""

from __future__ import annotations

import errno
import re
import typing as t

from emulator.faults import Operation

if t.TYPE_CHECKING:
    from collections.abc import Iterable

# System call -> kind of operation; an openat changes something if it is not for reading
_KINDS = {
    "mkdir": "mkdir",
    "mkdirat": "mkdir",
    "rmdir": "rmdir",
    "unlinkat": "rmdir",
    "rename": "rename",
    "renameat": "rename",
    "renameat2": "rename",
    "openat": "write",
    "chmod": "chmod",
    "chown": "chown",
}
# What strace is to trace; no architecture has all of them
TRACED = ",".join(f"?{name}" for name in _KINDS)
_CALL = re.compile(r'(?P<tid>\d+) +(?P<name>\w+)\([^"]*"(?P<path>[^"]*)"(?:.* = -1 (?P<error>E\w+))?')


def changes(lines: Iterable[str], root: str) -> list[Operation]:
    """The calls that have changed something below `root`, or tried to, in the emulator's terms; an open is a write."""
    found = []
    for line in lines:
        call = _CALL.match(line)
        if call and call["path"].startswith(f"{root}/") and not (call["name"] == "openat" and "O_RDONLY" in line):
            code = getattr(errno, call["error"]) if call["error"] else 0
            path = call["path"].removeprefix(f"{root}/")
            found.append(Operation(_KINDS[call["name"]], path, "", code, int(call["tid"])))
    return found
