# SPDX-License-Identifier: GPL-3.0-or-later
"""Where resctrl is mounted, as /proc/self/mounts tells. Pure."""

from __future__ import annotations

import re
import typing as t

REAL = "resctrl"
# A look-alike, as tests use it. Any user may mount one below his home, but not as root
LOOK_ALIKE = "fuse.resctrl"
_BY_ROOT = "user_id=0"


class Mount(t.NamedTuple):
    """A mounted resctrl: where, as what, its options as the kernel prints them, and its source."""

    path: str
    filesystem: str
    options: tuple[str, ...]
    source: str = ""

    @property
    def read_only(self) -> bool:
        """Whether nothing can be changed through this mount."""
        return "ro" in self.options

    @property
    def throttles(self) -> bool:
        """Whether the kernel's software controller throttles groups by the bandwidth that they count (mba_MBps)."""
        return "mba_MBps" in self.options


def parse_mounts(text: str) -> list[Mount]:
    """The resctrl mounts of a /proc/self/mounts."""
    found = []
    for line in text.split("\n"):
        fields = line.split(" ")
        if len(fields) < 4:
            continue
        mount = Mount(unescaped(fields[1]), fields[2], tuple(fields[3].split(",")), fields[0])
        if mount.filesystem == REAL or (mount.filesystem == LOOK_ALIKE and _BY_ROOT in mount.options):
            found.append(mount)
    return found


def unescaped(path: str) -> str:
    """A path in /proc/self/mounts, in which blanks are octal escapes (proc(5))."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), path)
