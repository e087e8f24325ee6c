# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what the kernel counts for a group: the files below mon_data. A file may hold a word, not a number."""

from __future__ import annotations

import errno
import os
import re
import typing as t

from .events import BANDWIDTH, ERROR, EVENTS, GONE, UNASSIGNED, UNSUPPORTED, Value, Values, parse_value
from .files import read_text
from .groups import ROOT

if t.TYPE_CHECKING:
    from .filesystem import Resctrl
    from .groups import Group

_CACHE_DIRECTORY = re.compile(r"mon_L3_([0-9]+)")
_GONE = (errno.ENOENT, errno.ENODEV, errno.ENOTDIR)


def read_counter(directory: str, event: str) -> Value:
    """The value of an event in a directory of mon_data. Never raises.

    Only ENOENT and ENODEV say that it went away. Any other errno is an error of the counter.
    """
    try:
        return parse_value(read_text(f"{directory}/{event}"))
    except OSError as exc:
        return Value(None, GONE if exc.errno in _GONE else ERROR)


def cache_directories(resctrl: Resctrl, group: Group = ROOT) -> dict[int, str]:
    """L3 cache id -> its directory in `group`, in the order of the ids; empty where they cannot be listed."""
    try:
        return _cache_directories(resctrl, group)
    except OSError:
        return {}


def _cache_directories(resctrl: Resctrl, group: Group) -> dict[int, str]:
    """The same; empty where the group is gone. Raises OSError.

    Ids are sparse, come and go with CPU hot-plug and are zero-padded (mon_L3_08 is 8, not a bad octal number).
    Directories of other resources (mon_PERF_PKG_NN) are not caches.
    """
    try:
        names = os.listdir(resctrl.path(group, "mon_data"))
    except OSError as exc:
        if exc.errno not in _GONE:
            raise
        names = []
    matches = [(name, _CACHE_DIRECTORY.fullmatch(name)) for name in names]
    found = {int(match.group(1), 10): resctrl.path(group, "mon_data", name) for name, match in matches if match}
    return dict(sorted(found.items()))


def cache_generations(resctrl: Resctrl) -> dict[int, str]:
    """L3 cache id -> what changes when its counters begin anew, because its CPUs went offline and came back.

    The kernel makes the directories of such a cache, and of such a sub-NUMA node (mon_sub_L3_NN), anew in every group:
    the root's are looked at for all groups.
    """
    return {cache: _generation(path) for cache, path in cache_directories(resctrl).items()}


def _generation(directory: str) -> str:
    try:
        nodes = sorted(name for name in os.listdir(directory) if name.startswith("mon_sub_"))
        numbers = [os.stat(os.path.join(directory, name)).st_ino for name in ("", *nodes)]
    except OSError:
        return GONE
    return " ".join(map(str, numbers))


def read_group(
    resctrl: Resctrl, group: Group, features: t.Container[str], assignable: bool = False
) -> dict[int, Values]:
    """L3 cache id -> the value of each event; empty if the group is gone. `features`: the events that there are.

    With `assignable` counters, a CTRL_MON group without one of its own reads the number of a MON group below it, which
    says nothing about its own threads (kernel 7.3): its assignments tell.
    Raises OSError if the caches of a group that is there cannot be listed.
    """
    values = {
        cache: {event: read_counter(path, event) if event in features else Value(None, UNSUPPORTED) for event in EVENTS}
        for cache, path in _cache_directories(resctrl, group).items()
    }
    if assignable and not group.mon:
        _doubt(values, assignments(resctrl, group))
    return values


def _doubt(values: dict[int, Values], assigned: t.Mapping[str, t.Container[int]]) -> None:
    """Take the numbers back that are not the group's own."""
    for cache, events in values.items():
        for event in BANDWIDTH:
            if events[event].number is not None and cache not in assigned.get(event, ()):
                events[event] = Value(None, UNASSIGNED)


def assignments(resctrl: Resctrl, group: Group) -> dict[str, frozenset[int]]:
    """Event -> the caches on which the group has a counter for it; empty where counters are not assigned."""
    try:
        return parse_assignments(read_text(resctrl.path(group, "mbm_L3_assignments")))
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
