# SPDX-License-Identifier: GPL-3.0-or-later
"""Bandwidth counters that are assigned to groups (AMD ABMC, Arm MPAM): which of its own a group has."""

from __future__ import annotations

import typing as t

from .events import BANDWIDTH, L3, UNASSIGNED, Place, Values
from .files import pairs_in, read_piece

if t.TYPE_CHECKING:
    from .filesystem import Resctrl
    from .groups import Group

# Event and L3 cache id of each counter of a group
Assigned = t.FrozenSet[t.Tuple[str, int]]


def assignments(resctrl: Resctrl, group: Group) -> dict[str, frozenset[int]]:
    """Event -> the caches on which the group has a counter for it; empty where counters are not assigned."""
    try:
        return parse_assignments(read_piece(resctrl.path(group, "mbm_L3_assignments")))
    except OSError:
        return {}


def parse_assignments(text: str) -> dict[str, frozenset[int]]:
    """Event -> the caches on which it has a counter, from lines such as `mbm_total_bytes:0=e;1=_`."""
    found = {}
    for line in text.split("\n"):
        event, _colon, caches = line.partition(":")
        if event:
            found[event.strip()] = frozenset(cache for cache, state in pairs_in(caches).items() if state != "_")
    return found


def counters_of(resctrl: Resctrl, group: Group) -> Assigned:
    """Event and L3 cache id of each counter that a group has."""
    return frozenset((event, cache) for event, caches in assignments(resctrl, group).items() for cache in caches)


def counters_in(values: t.Mapping[Place, Values]) -> Assigned:
    """The same of a MON group, by what was read of it: without a counter it says so itself."""
    return frozenset(
        (event, place.id)
        for place, events in values.items()
        for event in (BANDWIDTH if place.resource == L3 else ())
        if events[event].reason != UNASSIGNED
    )


class Counters:
    """Which bandwidth counters groups have: looked up only where nothing that was read tells it."""

    def __init__(self, resctrl: Resctrl) -> None:
        self._resctrl = resctrl
        self._seen: dict[Group, Assigned] = {}

    def see(self, group: Group, values: t.Mapping[Place, Values]) -> None:
        """Keep what was read of a MON group."""
        self._seen[group] = counters_in(values)

    def of(self, group: Group) -> Assigned:
        """Event and L3 cache id of each that a group has."""
        return self._seen[group] if group in self._seen else counters_of(self._resctrl, group)
