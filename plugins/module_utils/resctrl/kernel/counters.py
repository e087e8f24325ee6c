# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what the kernel counts for a group: the files below mon_data. A file may hold a word, not a number."""

from __future__ import annotations

import errno
import os
import re
import typing as t

from .events import (
    BANDWIDTH,
    ERROR,
    GONE,
    L3,
    PACKAGE,
    UNASSIGNED,
    UNSUPPORTED,
    Event,
    Place,
    Value,
    Values,
    parse_value,
    told,
)
from .files import read_text
from .groups import ROOT

if t.TYPE_CHECKING:
    from .filesystem import Resctrl
    from .groups import Group

_DIRECTORY = re.compile(f"mon_({L3}|{PACKAGE})_([0-9]+)")
_GONE = (errno.ENOENT, errno.ENODEV, errno.ENOTDIR)


def read_counter(directory: str, event: str) -> Value:
    """The value of an event in a directory of mon_data. Never raises.

    Only ENOENT and ENODEV say that it went away. Any other errno is an error of the counter.
    """
    try:
        return parse_value(read_text(f"{directory}/{event}"))
    except OSError as exc:
        return Value(None, GONE if exc.errno in _GONE else ERROR)


def _read_settled(resctrl: Resctrl, directory: str, event: str) -> Value:
    """The same, but on Arm a 0 is read again once.

    There a file also reads 0 if the hardware was not ready: the driver waits for as long as the firmware says, tries
    again, and gives up with EBUSY, for which there is no word (mpam_msmon_read(), rdtgroup_mondata_show(); Linux 7.3).
    The monitor stays as it was set up, so that a second read mostly finds it ready. A 0 that is read twice is believed:
    that the kernel could tell it from a true one is nowhere to be seen.
    """
    value = read_counter(directory, event)
    return read_counter(directory, event) if value.number == 0 and resctrl.is_arm else value


def cache_directories(resctrl: Resctrl, group: Group = ROOT) -> dict[int, str]:
    """L3 cache id -> its directory in `group`, in the order of the ids; empty where they cannot be listed."""
    return {place.id: path for place, path in _directories_if_any(resctrl, group).items() if place.resource == L3}


def _directories_if_any(resctrl: Resctrl, group: Group) -> dict[Place, str]:
    try:
        return _directories(resctrl, group)
    except OSError:
        return {}


def _directories(resctrl: Resctrl, group: Group) -> dict[Place, str]:
    """Cache or package -> its directory in `group`, in their order; empty where the group is gone. Raises OSError.

    Ids are sparse, come and go with CPU hot-plug and are zero-padded (mon_L3_08 is 8, not a bad octal number).
    Directories of other resources are not read.
    """
    try:
        names = os.listdir(resctrl.path(group, "mon_data"))
    except OSError as exc:
        if exc.errno not in _GONE:
            raise
        names = []
    matches = [(name, _DIRECTORY.fullmatch(name)) for name in names]
    found = {
        Place(match.group(1), int(match.group(2), 10)): resctrl.path(group, "mon_data", name)
        for name, match in matches
        if match
    }
    return dict(sorted(found.items()))


def place_generations(resctrl: Resctrl) -> dict[Place, str]:
    """Cache or package -> what changes when its counters begin anew, because its CPUs went offline and came back.

    The kernel makes the directories of such a cache, and of such a sub-NUMA node (mon_sub_L3_NN), anew in every group:
    the root's are looked at for all groups. A package may go on from where it was. Nothing here tells, so it is treated
    like a cache.
    """
    return {place: _generation(path) for place, path in _directories_if_any(resctrl, ROOT).items()}


def _generation(directory: str) -> str:
    try:
        nodes = sorted(name for name in os.listdir(directory) if name.startswith("mon_sub_"))
        numbers = [os.stat(os.path.join(directory, name)).st_ino for name in ("", *nodes)]
    except OSError:
        return GONE
    return " ".join(map(str, numbers))


def read_group(
    resctrl: Resctrl, group: Group, events: t.Sequence[Event], assignable: bool = False
) -> dict[Place, Values]:
    """Cache or package -> event -> its value; empty if the group is gone. `events`: those that the host has.

    With `assignable` counters, a CTRL_MON group without one of its own reads the number of a MON group below it, which
    says nothing about its own threads (kernel 7.3): its assignments tell.
    Raises OSError if the places of a group that is there cannot be listed.
    """
    of_resource = {
        resource: [event for event in told(events) if event.resource == resource] for resource in (L3, PACKAGE)
    }
    values = {
        place: {
            event.name: _read_settled(resctrl, path, event.name) if event in events else Value(None, UNSUPPORTED)
            for event in of_resource[place.resource]
        }
        for place, path in _directories(resctrl, group).items()
    }
    if assignable and not group.mon:
        _doubt(values, assignments(resctrl, group))
    return values


def _doubt(values: dict[Place, Values], assigned: t.Mapping[str, t.Container[int]]) -> None:
    """Take the numbers back that are not the group's own."""
    for place, events in values.items():
        for event in BANDWIDTH if place.resource == L3 else ():
            if events[event].number is not None and place.id not in assigned.get(event, ()):
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
