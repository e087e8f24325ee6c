# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files ``cpus`` and ``cpus_list``: CPUs that count for a group whatever runs on them."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from typing import NoReturn

from .groups import Group
from .kstr import fail, strim
from .status import LastCommand

WORD = 32


def show_mask(mask: int, cpus: int) -> str:
    """Hexadecimal, zero padded to the number of CPUs, in words of 32 bits."""
    digits = f"{mask:0{(cpus + 3) // 4}x}"
    first = len(digits) % 8
    words = [digits[:first]] if first else []
    return ",".join(words + [digits[i : i + 8] for i in range(first, len(digits), 8)]) + "\n"


def show_list(mask: int) -> str:
    """Ranges, such as ``0,2-3``."""
    ranges = []
    while mask:
        low = (mask & -mask).bit_length() - 1
        length = (~(mask >> low) & ((mask >> low) + 1)).bit_length() - 1
        ranges.append(f"{low}-{low + length - 1}" if length > 1 else f"{low}")
        mask &= ~(((1 << length) - 1) << low)
    return ",".join(ranges) + "\n"


def parse_mask(text: str, cpus: int) -> int:
    """Raises OSError EINVAL, or EOVERFLOW for a CPU that cannot exist."""
    mask = 0
    for word in strim(text).split(","):
        if not re.fullmatch(r"[0-9a-fA-F]{0,8}", word):
            fail(errno.EOVERFLOW if re.fullmatch(r"[0-9a-fA-F]+", word) else errno.EINVAL)
        mask = mask << WORD | int(word or "0", 16)
    if mask >> cpus:
        fail(errno.EOVERFLOW)
    return mask


def parse_list(text: str, cpus: int) -> int:
    """Raises OSError EINVAL, or ERANGE for a CPU that cannot exist."""
    mask = 0
    for word in strim(text).split(","):
        if not word:
            continue
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", strim(word))
        if not match:
            fail(errno.EINVAL)
        low, high = int(match[1]), int(match[2] or match[1])
        if low > high:
            fail(errno.EINVAL)
        if high >= cpus:
            fail(errno.ERANGE)
        mask |= (1 << high + 1) - (1 << low)
    return mask


class CpuMasks:
    """The rules of who owns a CPU: one CTRL_MON group, and of its MON groups at most one."""

    def __init__(self, root: Group, cpus: int, status: LastCommand) -> None:
        self._root = root
        self._cpus = cpus
        self._status = status
        root.cpus = (1 << cpus) - 1

    def parse(self, text: str, as_list: bool) -> int:
        """What was written, as a mask. Raises OSError."""
        try:
            return parse_list(text, self._cpus) if as_list else parse_mask(text, self._cpus)
        except OSError:
            self._status.puts("Bad CPU list/mask\n")
            raise

    def assign(self, group: Group, mask: int, groups: Iterable[Group]) -> None:
        """Make these the CPUs of a group. Raises OSError EINVAL."""
        if group.parent is not None:
            self._assign_mon(group, group.parent, mask)
            return
        dropped, added = group.cpus & ~mask, mask & ~group.cpus
        if dropped and group is self._root:
            self._refuse("Can't drop CPUs from default group\n")
        self._root.cpus |= dropped
        for other in groups:
            if other.control is not group:
                other.cpus &= ~added
        group.cpus = mask
        for child in group.children:
            child.cpus = 0

    def _assign_mon(self, group: Group, parent: Group, mask: int) -> None:
        if mask & ~parent.cpus:
            self._refuse("Can only add CPUs to mongroup that belong to parent\n")
        for sibling in parent.children:
            sibling.cpus &= ~mask
        group.cpus = mask

    def removed(self, group: Group) -> None:
        """Give the CPUs of a CTRL_MON group that goes away to the root."""
        if group.parent is None:
            self._root.cpus |= group.cpus

    def _refuse(self, message: str) -> NoReturn:
        self._status.puts(message)
        fail(errno.EINVAL)
