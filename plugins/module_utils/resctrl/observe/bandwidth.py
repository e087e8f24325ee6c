# SPDX-License-Identifier: GPL-3.0-or-later
"""Which groups count no memory bandwidth, because the counters do not suffice for all (AMD ABMC, Arm MPAM)."""

from __future__ import annotations

import typing as t

from ..kernel.info import ASSIGNABLE, assign_mode

if t.TYPE_CHECKING:
    from ..kernel.filesystem import Resctrl
    from ..kernel.groups import Group


def caches_without_counter(resctrl: Resctrl, groups: t.Iterable[Group]) -> list[int]:
    """The L3 caches on which one of the groups lacks a bandwidth counter; empty where groups need none."""
    if assign_mode(resctrl) != ASSIGNABLE:
        return []
    # Not above: on most hosts every group counts bandwidth, and what is imported is compiled on every run
    from ..kernel.counters import assignments, cache_directories

    missing: set[int] = set()
    for group in groups:
        assigned = assignments(resctrl, group)
        for caches in assigned.values():
            missing |= set(cache_directories(resctrl, group)) - caches
    return sorted(missing)
