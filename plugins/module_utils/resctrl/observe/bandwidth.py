# SPDX-License-Identifier: GPL-3.0-or-later
"""Which groups have bandwidth counters, where these do not suffice for all (AMD ABMC, Arm MPAM)."""

from __future__ import annotations

import typing as t

from ..kernel.groups import ROOT
from ..kernel.info import ASSIGNABLE, assign_mode

if t.TYPE_CHECKING:
    from ..decide.counting import Bandwidth
    from ..kernel.filesystem import Resctrl
    from ..kernel.groups import Group


def bandwidth_of(resctrl: Resctrl, groups: t.Iterable[Group], full: t.Container[int] = ()) -> Bandwidth | None:
    """The bandwidth counters of a host and of some groups; None where groups need none.

    A group that has gone meanwhile is left out.  `full`: the caches on which the kernel has just refused one.
    """
    if assign_mode(resctrl) != ASSIGNABLE:
        return None
    # Not above: on most hosts every group counts bandwidth, and what is imported is compiled on every run
    from ..decide.counting import Bandwidth
    from ..kernel.assignments import assignments
    from ..kernel.info import assigns_on_mkdir, bandwidth_counters

    found = {group: assignments(resctrl, group) for group in sorted(groups)}
    events = tuple(dict.fromkeys(event for caches in found.values() for event in caches))
    return Bandwidth(
        {cache: 0 if cache in full else one.free for cache, one in bandwidth_counters(resctrl).items()},
        events or tuple(assignments(resctrl, ROOT)),
        {
            group: frozenset((event, cache) for event, ids in caches.items() for cache in ids)
            for group, caches in found.items()
            if caches
        },
        assigns_on_mkdir(resctrl),
    )
