# SPDX-License-Identifier: GPL-3.0-or-later
"""Bandwidth counters that are assigned to groups (AMD ABMC, Arm MPAM): which of its own a group has."""

from __future__ import annotations

import typing as t

from .events import BANDWIDTH, L3, UNASSIGNED, Place, Value, Values
from .files import read_piece

if t.TYPE_CHECKING:
    from .filesystem import Resctrl
    from .groups import Group


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
        pairs = [part.partition("=") for part in caches.strip().split(";") if part]
        if event:
            found[event.strip()] = frozenset(int(cache) for cache, _equals, state in pairs if state != "_")
    return found


def doubt(values: dict[Place, Values], assigned: t.Mapping[str, t.Container[int]]) -> None:
    """Take the numbers back that are not the group's own."""
    for place, events in values.items():
        for event in BANDWIDTH if place.resource == L3 else ():
            if events[event].number is not None and place.id not in assigned.get(event, ()):
                events[event] = Value(None, UNASSIGNED)
