# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allocation: the files ``schemata``, ``size``, ``mode`` and ``info/L3/bit_usage``."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from .domains import Domains
from .groups import EXCLUSIVE, SHAREABLE, Group
from .kstr import ULONG, fail, kstrto, strim
from .status import LastCommand

NAME_WIDTH = len("L3CODE")
"""Names are right-aligned to the longest one that the hardware could show."""


@dataclass(frozen=True)
class Bandwidth:
    """What MB accepts: percent on Intel and Arm, steps of 1/8 GB/s on AMD."""

    minimum: int
    maximum: int
    granularity: int
    linear: int


BANDWIDTHS = {
    "Intel": Bandwidth(10, 100, 10, 1),
    "AMD": Bandwidth(0, 2048, 1, 0),
    # As with 7 bits of MBW_MAX
    "Arm": Bandwidth(1, 100, 1, 1),
}


class Allocation:
    """Capacity masks and bandwidth limits of the CTRL_MON groups that ``groups()`` returns."""

    def __init__(self, domains: Domains, status: LastCommand, groups: Callable[[], Iterable[Group]]) -> None:
        self._profile = domains.profile
        self._domains = domains
        self._status = status
        self._groups = groups
        self.bandwidth = BANDWIDTHS[self._profile.vendor]

    # -- new groups

    def set_root(self, root: Group) -> None:
        """What the root group has after the mount."""
        for l3_id in self._domains.l3_ids:
            root.masks[l3_id] = self._profile.initial_mask
            root.bandwidth[l3_id] = self.bandwidth.maximum

    def set_new(self, group: Group) -> None:
        """Give a new group all bits that are unused or shareable, and all bandwidth.

        Raises OSError ENOSPC if exclusive groups have left nothing.
        """
        for l3_id in self._domains.l3_ids if "L3" in self._profile.alloc else ():
            group.masks[l3_id] = self._first_run(self._available(l3_id, group))
            if not group.masks[l3_id]:
                self._status.printf(f"No space on L3:{l3_id}\n")
                self._status.puts("Failed to initialize allocations\n")
                fail(errno.ENOSPC)
        group.bandwidth = dict.fromkeys(self._domains.l3_ids, self.bandwidth.maximum)

    def _available(self, l3_id: int, group: Group) -> int:
        used = shared = self._profile.shared_mask
        for other in self._groups():
            if other is not group:
                used |= other.masks[l3_id]
                shared |= other.masks[l3_id] if other.mode == SHAREABLE else 0
        return shared | (self._profile.full_mask & ~used)

    @staticmethod
    def _first_run(mask: int) -> int:
        """The lowest run of consecutive bits."""
        lowest = mask & -mask
        return mask & ~(mask + lowest)

    def went_offline(self, l3_id: int) -> None:
        """A cache whose CPUs are all offline is in no schemata."""
        for group in self._groups():
            group.masks.pop(l3_id, None)
            group.bandwidth.pop(l3_id, None)

    def came_online(self, l3_id: int) -> None:
        """A cache that comes online may be used by every group as a whole."""
        for group in self._groups():
            if "L3" in self._profile.alloc or group.is_root:
                group.masks[l3_id] = self._profile.full_mask
            group.bandwidth[l3_id] = self.bandwidth.maximum
            group.masks, group.bandwidth = dict(sorted(group.masks.items())), dict(sorted(group.bandwidth.items()))

    def share(self, group: Group, l3_id: int) -> float:
        """The part of a cache that a group may fill, from 0 to 1."""
        if "L3" not in self._profile.alloc:
            return 1.0
        return group.control.masks[l3_id].bit_count() / self._profile.mask_bits

    # -- schemata, size

    def show(self, group: Group) -> str:
        """The ``schemata`` file."""
        digits = (self._profile.mask_bits + 3) // 4
        width = max(digits, len(str(self.bandwidth.maximum)) if "MB" in self._profile.alloc else 0)
        width = width if self._profile.era.padded else 0
        return self._lines(
            ";".join(f"{i}={mask:0{width}x}" if width else f"{i}={mask:x}" for i, mask in group.masks.items()),
            ";".join(f"{i}={limit:{width}d}" if width else f"{i}={limit}" for i, limit in group.bandwidth.items()),
        )

    def size(self, group: Group) -> str:
        """The ``size`` file: masks as bytes."""
        bit = self._profile.l3_size // self._profile.mask_bits
        return self._lines(
            ";".join(f"{i}={mask.bit_count() * bit}" for i, mask in group.masks.items()),
            ";".join(f"{i}={limit}" for i, limit in group.bandwidth.items()),
        )

    def _lines(self, masks: str, limits: str) -> str:
        lines = {"L3": masks, "MB": limits}
        names = [name for name in ("L3", "MB") if name in self._profile.alloc]
        if self._profile.era.mb_first:
            names.reverse()
        return "".join(f"{name:>{NAME_WIDTH}}:{lines[name]}\n" for name in names)

    def write(self, group: Group, text: str) -> None:
        """A write to ``schemata``, its final newline taken off: all lines or none. Raises OSError EINVAL."""
        masks: dict[int, int] = {}
        limits: dict[int, int] = {}
        for line in text.split("\n"):
            name, colon, values = line.partition(":")
            name = strim(name)
            if not colon:
                self._refuse("Missing ':'\n")
            if not values:
                self._refuse(f"Missing '{name}' value\n")
            if name not in self._profile.alloc:
                self._refuse(f"Unknown or unsupported resource name '{name}'\n")
            staged = masks if name == "L3" else limits
            for l3_id, value in self._assignments(values):
                if l3_id in staged:
                    self._refuse(f"Duplicate domain {l3_id}\n")
                staged[l3_id] = self._mask(group, l3_id, value) if name == "L3" else self._limit(value)
        group.masks.update(masks)
        group.bandwidth.update(limits)

    def _assignments(self, text: str) -> Iterator[tuple[int, str]]:
        rest = text
        while rest:
            word, _semicolon, rest = rest.partition(";")
            number, equals, value = word.partition("=")
            try:
                l3_id = kstrto(number, 10, ULONG)
            except OSError:
                l3_id = -1
            if not equals or l3_id < 0:
                self._refuse("Missing '=' or non-numeric domain\n")
            if l3_id not in self._domains.l3_ids:
                fail(errno.EINVAL)
            yield l3_id, strim(value)

    def _mask(self, group: Group, l3_id: int, text: str) -> int:
        try:
            mask = kstrto(text, 16, ULONG)
        except OSError:
            self._refuse(f"Non-hex character in the mask {text}\n")
        if mask == 0 or mask > self._profile.full_mask:
            self._refuse("Mask out of range\n")
        if self._profile.contiguous and self._first_run(mask) != mask:
            self._refuse(f"The mask {mask:x} has non-consecutive 1-bits\n")
        others = [other for other in self._groups() if other is not group and other.masks[l3_id] & mask]
        if any(other.mode == EXCLUSIVE for other in others):
            self._refuse("Overlaps with exclusive group\n")
        if group.mode == EXCLUSIVE and (others or mask & self._profile.shared_mask):
            self._refuse("Overlaps with other group\n")
        return mask

    def _limit(self, text: str) -> int:
        band = self.bandwidth
        try:
            value = kstrto(text, 10, ULONG)
        except OSError:
            self._refuse(f"Invalid MB value {text}\n")
        if not band.minimum <= value <= band.maximum:
            self._refuse(f"MB value {value} out of range [{band.minimum},{band.maximum}]\n")
        return -(-value // band.granularity) * band.granularity

    def _refuse(self, message: str) -> NoReturn:
        self._status.printf(message)
        fail(errno.EINVAL)

    # -- mode, bit_usage

    def write_mode(self, group: Group, mode: str) -> None:
        """A write to ``mode``, its final newline taken off. Raises OSError EINVAL."""
        if mode == group.mode:
            return
        if mode == EXCLUSIVE:
            self._check_exclusive(group)
        elif mode == "pseudo-locksetup":
            default = "Cannot pseudo-lock default group\n"
            self._refuse(default if group.is_root else "Pseudo-locking not supported\n")
        elif mode != SHAREABLE:
            self._refuse("Unknown or unsupported mode\n")
        group.mode = mode

    def _check_exclusive(self, group: Group) -> None:
        if "L3" not in self._profile.alloc:
            self._refuse("Cannot be exclusive without CAT/CDP\n")
        for l3_id, mask in group.masks.items():
            others = (other.masks[l3_id] for other in self._groups() if other is not group)
            if mask & self._profile.shared_mask or any(mask & other for other in others):
                self._refuse("Schemata overlaps\n")

    def bit_usage(self) -> str:
        """``info/L3/bit_usage``: who may use each bit, highest first."""
        return ";".join(f"{i}={self._usage(i)}" for i in self._domains.l3_ids) + "\n"

    def _usage(self, l3_id: int) -> str:
        letters = ""
        for bit in (1 << n for n in reversed(range(self._profile.mask_bits))):
            modes = {group.mode for group in self._groups() if group.masks[l3_id] & bit}
            if self._profile.shared_mask & bit:
                letters += "X" if SHAREABLE in modes else "H"
            elif SHAREABLE in modes:
                letters += "S"
            else:
                letters += "E" if EXCLUSIVE in modes else "0"
        return letters
