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
from .files import read_piece
from .groups import ROOT

if t.TYPE_CHECKING:
    from .filesystem import Resctrl
    from .groups import Group

_DIRECTORY = re.compile(f"mon_({L3}|{PACKAGE})_([0-9]+)")
_GONE = (errno.ENOENT, errno.ENODEV, errno.ENOTDIR)
# Longer than any number, and than any word for why there is none
_LONGEST = 512
_IS_GONE, _UNSUPPORTED = Value(None, GONE), Value(None, UNSUPPORTED)


def read_counter(path: str) -> Value:
    """The value in a file of mon_data, with three system calls. Never raises.

    Only ENOENT and ENODEV say that it went away. Any other errno is an error of the counter.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            text = os.read(descriptor, _LONGEST)
        finally:
            os.close(descriptor)
    except OSError as exc:
        return _IS_GONE if exc.errno in _GONE else Value(None, ERROR)
    # As nearly always, and told in no time
    is_number = text[-1:] == b"\n" and text[:-1].isdigit()
    return Value(int(text)) if is_number else parse_value(text.decode("utf-8", "surrogateescape"))


def _read_settled(path: str) -> Value:
    """The same on Arm, where a 0 is read again once.

    There a file also reads 0 if the hardware was not ready: the driver waits for as long as the firmware says, tries
    again, and gives up with EBUSY, for which there is no word (mpam_msmon_read(), rdtgroup_mondata_show(); Linux 7.3).
    The monitor stays as it was set up, so that a second read mostly finds it ready. A 0 that is read twice is believed:
    that the kernel could tell it from a true one is nowhere to be seen.
    """
    value = read_counter(path)
    return read_counter(path) if value.number == 0 else value


def cache_directories(resctrl: Resctrl, group: Group = ROOT) -> dict[int, str]:
    """L3 cache id -> its directory in `group`, in the order of the ids; empty where they cannot be listed."""
    names = _directories_if_any(resctrl, group)
    return {place.id: resctrl.path(group, "mon_data", name) for place, name in names.items() if place.resource == L3}


def _directories_if_any(resctrl: Resctrl, group: Group) -> dict[Place, str]:
    try:
        return _directories(resctrl, group)
    except OSError:
        return {}


def _directories(resctrl: Resctrl, group: Group) -> dict[Place, str]:
    """Cache or package -> the name of its directory in mon_data, in their order; empty where the group is gone.

    Ids are sparse, come and go with CPU hot-plug and are zero-padded (mon_L3_08 is 8, not a bad octal number).
    Directories of other resources are left out. Raises OSError.
    """
    try:
        names = os.listdir(resctrl.path(group, "mon_data"))
    except OSError as exc:
        if exc.errno not in _GONE:
            raise
        names = []
    matches = [(name, _DIRECTORY.fullmatch(name)) for name in names]
    return dict(sorted((Place(match.group(1), int(match.group(2), 10)), name) for name, match in matches if match))


def _generation(directory: str) -> str:
    try:
        nodes = sorted(name for name in os.listdir(directory) if name.startswith("mon_sub_"))
        numbers = [os.stat(os.path.join(directory, name)).st_ino for name in ("", *nodes)]
    except OSError:
        return GONE
    return " ".join(map(str, numbers))


class Reader:
    """Reads the counters of many groups at one moment, each with an open, a read and a close.

    `events`: those that the host has.  `assignable`: whether groups need bandwidth counters to count bandwidth.
    The kernel makes the same directories in every group (mkdir_mondata_all(), fs/resctrl/rdtgroup.c): they are listed
    once, in the root, and again only in a group that lacks one of them.
    """

    def __init__(self, resctrl: Resctrl, events: t.Sequence[Event], assignable: bool = False) -> None:
        self._resctrl = resctrl
        self._assignable = assignable
        self._read_counter = _read_settled if resctrl.is_arm else read_counter
        self._names = _directories_if_any(resctrl, ROOT)
        # Resource -> the name of each event that is told, and whether the host has it
        self._events = {
            resource: [(event.name, event in events) for event in told(events) if event.resource == resource]
            for resource in (L3, PACKAGE)
        }
        self._files = self._files_of(self._names)

    def generations(self) -> dict[Place, str]:
        """Cache or package -> what changes when its counters begin anew, because its CPUs went offline and came back.

        The kernel makes the directories of such a cache, and of such a sub-NUMA node (mon_sub_L3_NN), anew in every
        group: the root's are looked at for all groups. A package may go on from where it was. Nothing here tells, so it
        is treated like a cache.
        """
        return {place: _generation(self._resctrl.path(ROOT, "mon_data", name)) for place, name in self._names.items()}

    def read(self, group: Group) -> dict[Place, Values]:
        """Cache or package -> event -> its value; empty if the group is gone.

        With assignable counters, a CTRL_MON group without one of its own reads the number of a MON group below it,
        which says nothing about its own threads (kernel 7.3): its assignments tell.
        Raises OSError if the places of a group that is there cannot be listed.
        """
        values = self._read(group, self._files)
        if not values or any(_IS_GONE in found.values() for found in values.values()):
            values = self._read_what_is_there(group, values)
        if self._assignable and not group.mon:
            _doubt(values, assignments(self._resctrl, group))
        return values

    def _read_what_is_there(self, group: Group, values: t.Mapping[Place, Values]) -> dict[Place, Values]:
        """What a group shows of which something was missing: without the places that it does not have at all.

        What was read before it went away is kept. Raises OSError.
        """
        there = self._files_of(_directories(self._resctrl, group))
        known = {
            place: found
            for place, found in values.items()
            if place in there or any(value not in (_IS_GONE, _UNSUPPORTED) for value in found.values())
        }
        others = {place: files for place, files in there.items() if place not in known}
        return dict(sorted({**known, **self._read(group, others)}.items()))

    def _files_of(self, names: t.Mapping[Place, str]) -> dict[Place, dict[str, str]]:
        """Place -> event -> its file, relative to a group; "" of one that the host does not have."""
        found: dict[Place, dict[str, str]] = {}
        for place, name in names.items():
            events = self._events[place.resource]
            found[place] = {event: f"/mon_data/{name}/{event}" if there else "" for event, there in events}
        return found

    def _read(self, group: Group, files: t.Mapping[Place, t.Mapping[str, str]]) -> dict[Place, Values]:
        directory, read = self._resctrl.path(group), self._read_counter
        return {
            place: {event: read(directory + file) if file else _UNSUPPORTED for event, file in events.items()}
            for place, events in files.items()
        }


def read_group(
    resctrl: Resctrl, group: Group, events: t.Sequence[Event], assignable: bool = False
) -> dict[Place, Values]:
    """What one group shows, see Reader.read(). Raises OSError."""
    return Reader(resctrl, events, assignable).read(group)


def _doubt(values: dict[Place, Values], assigned: t.Mapping[str, t.Container[int]]) -> None:
    """Take the numbers back that are not the group's own."""
    for place, events in values.items():
        for event in BANDWIDTH if place.resource == L3 else ():
            if events[event].number is not None and place.id not in assigned.get(event, ()):
                events[event] = Value(None, UNASSIGNED)


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
