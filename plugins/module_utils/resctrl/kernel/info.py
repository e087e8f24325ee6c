# SPDX-License-Identifier: GPL-3.0-or-later
"""What resctrl's info directory says of the hardware: events, RMIDs, bandwidth counters, thresholds."""

from __future__ import annotations

import functools
import os
import re
import typing as t

from .events import ALL_CACHES, BANDWIDTH, L3, PACKAGE, Event, event_of
from .files import number_in, numbers_in, pairs_in
from .groups import ROOT

if t.TYPE_CHECKING:
    from .filesystem import Resctrl

# Each of them limits how many groups can be made (kernel 7.0 and later have the second)
_RESOURCES = (f"{L3}_MON", f"{PACKAGE}_MON")
# The mode of mbm_assign_mode in which a group counts bandwidth only while it has a counter (AMD ABMC, Arm MPAM)
ASSIGNABLE = "mbm_event"

# What stays the same while resctrl is mounted is asked for once
_once = functools.lru_cache(maxsize=1)


@_once
def events(resctrl: Resctrl) -> tuple[Event, ...]:
    """The events that there are, those of caches before those of packages; none without monitoring. Raises Unreadable.

    mon_features also names the files by which an event can be configured (mbm_total_bytes_config): they are no events.
    """
    return tuple(
        event_of(word, resource)
        for resource in (L3, PACKAGE)
        for word in resctrl.parsed(ROOT, f"info/{resource}_MON/mon_features", str.split)
        if not word.endswith("_config")
    )


def features(resctrl: Resctrl) -> tuple[str, ...]:
    """Their names (llc_occupancy, mbm_total_bytes, core_energy, ...). Raises Unreadable."""
    return tuple(event.name for event in events(resctrl))


@_once
def num_rmids(resctrl: Resctrl) -> int:
    """How many RMIDs there are, the root's own included; 0 where monitoring is missing.

    A group needs one of each monitoring resource, so the smallest number counts. Raises Unreadable.
    """
    numbers = [resctrl.parsed(ROOT, f"info/{resource}/num_rmids", _number_if_any) for resource in _RESOURCES]
    return min((number for number in numbers if number is not None), default=0)


def _number_if_any(text: str) -> int | None:
    return int(text) if text else None


def max_threshold_occupancy(resctrl: Resctrl) -> int | None:
    """The bytes of cache below which a freed RMID can be used again; None where it is not known."""
    return number_in(resctrl.info("L3_MON/max_threshold_occupancy"))


def counts_elsewhere(resctrl: Resctrl) -> list[str]:
    """Further monitoring resources of the kernel (such as MB_MON of a vendor's), by their directories in info."""
    try:
        names = os.listdir(resctrl.path(ROOT, "info"))
    except OSError:
        return []
    return sorted(f"info/{name}" for name in names if name.endswith("_MON") and name not in _RESOURCES)


def assign_mode(resctrl: Resctrl) -> str | None:
    """How bandwidth counters are given out: `default` or `mbm_event`; None on kernels that do not say (before 6.18)."""
    match = re.search(r"\[(.+)\]", resctrl.info("L3_MON/mbm_assign_mode"))
    return match.group(1) if match else None


class Counters(t.NamedTuple):
    """The assignable bandwidth counters of one L3 cache: how many there are, and how many are free."""

    total: int
    free: int


def bandwidth_counters(resctrl: Resctrl) -> dict[int, Counters]:
    """Cache id -> its assignable bandwidth counters; empty where groups need none (another mode than mbm_event).

    A cache of which it cannot be read how many are free is left out.
    """
    if assign_mode(resctrl) != ASSIGNABLE:
        return {}
    free = numbers_in(resctrl.info("L3_MON/available_mbm_cntrs"))
    total = numbers_in(resctrl.info("L3_MON/num_mbm_cntrs"))
    return {cache: Counters(number, free[cache]) for cache, number in total.items() if cache in free}


def assigns_on_mkdir(resctrl: Resctrl) -> bool:
    """Whether a new group gets bandwidth counters if some are left."""
    return resctrl.info("L3_MON/mbm_assign_on_mkdir") == "1"


def configurations(resctrl: Resctrl) -> dict[str, dict[int, str]]:
    """Event -> L3 cache id -> what it is configured to count there, in the kernel's words; where it can be changed.

    That is a mask (BMEC: info/L3_MON/EVENT_config). Where counters are assigned, an event counts the same on all caches
    (event_configs/EVENT/event_filter, which nobody can write on Arm): the id is then ALL_CACHES. See configured.py.
    """
    found = {}
    for event in BANDWIDTH:
        masks = resctrl.info(f"L3_MON/{event}_config")
        kinds = f"L3_MON/event_configs/{event}/event_filter"
        if _is_writable(resctrl, kinds):
            # It may be empty: the event then counts nothing
            found[event] = {ALL_CACHES: resctrl.info(kinds)}
        elif masks:
            found[event] = pairs_in(masks)
    return found


def _is_writable(resctrl: Resctrl, name: str) -> bool:
    """Whether a file is there, and its mode lets it be written (root may open it anyway)."""
    try:
        return bool(os.stat(resctrl.path(ROOT, "info", name)).st_mode & 0o200)
    except OSError:
        return False
