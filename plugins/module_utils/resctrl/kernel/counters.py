# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what the kernel counts for a group: the files below mon_data. A file may hold a word, not a number."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import typing as t

from .events import (
    ERROR,
    GONE,
    L3,
    PACKAGE,
    UNSUPPORTED,
    Event,
    Place,
    Value,
    Values,
    parse_value,
    told,
)
from .files import GONE_ERRORS
from .groups import ROOT, Group

if t.TYPE_CHECKING:
    from .filesystem import Resctrl

_DIRECTORY = re.compile(f"mon_({L3}|{PACKAGE})_([0-9]+)")
# Longer than any number, and than any word for why there is none
_LONGEST = 64
# No descriptor: what is looked up from it is not found
_NOTHING = -1
_IS_GONE, _UNSUPPORTED = Value(None, GONE), Value(None, UNSUPPORTED)


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
        if exc.errno not in GONE_ERRORS:
            raise
        names = []
    matches = [(name, _DIRECTORY.fullmatch(name)) for name in names]
    return dict(sorted((Place(match.group(1), int(match.group(2), 10)), name) for name, match in matches if match))


def _generation(directory: str) -> str:
    try:
        found = os.stat(directory)
        # A directory has two links, and one for each directory in it (kernfs_refresh_inode(), fs/kernfs/inode.c)
        names = [] if found.st_nlink == 2 else os.listdir(directory)
        nodes = sorted(name for name in names if name.startswith("mon_sub_"))
        numbers = [found.st_ino, *(os.stat(os.path.join(directory, name)).st_ino for name in nodes)]
    except OSError:
        return GONE
    return " ".join(map(str, numbers))


class _Files(t.NamedTuple):
    """The files of a group: their paths in its directory, and what each place's are called.

    `places`: place -> its events, of which those in `paths` follow each other there in the order of the places.
    """

    paths: list[str]
    places: dict[Place, list[str]]


class Reader:
    """Reads the counters of many groups at one moment, each with an open, a read and a close. It is closed by `with`.

    `events`: those that the host has.
    The kernel makes the same directories in every group (mkdir_mondata_all(), fs/resctrl/rdtgroup.c): they are listed
    once, in the root, and again only in a group that lacks one of them.
    """

    def __init__(self, resctrl: Resctrl, events: t.Sequence[Event]) -> None:
        self._resctrl = resctrl
        self._settles = resctrl.is_arm
        self.mount = resctrl.generation_of_mount()
        self._names = _directories_if_any(resctrl, ROOT)
        # Resource -> the events that are told and that the host has, and all that are told
        self._events = {
            resource: [event.name for event in told(events) if event.resource == resource and event in events]
            for resource in (L3, PACKAGE)
        }
        self._unsupported = {
            resource: {event.name: _UNSUPPORTED for event in told(events) if event.resource == resource}
            for resource in (L3, PACKAGE)
        }
        self._files = self._files_of(self._names)
        # What is looked up from the root spares the kernel the way to it, for each file
        self._root = _NOTHING
        with contextlib.suppress(OSError):
            self._root = os.open(resctrl.root, os.O_PATH | os.O_DIRECTORY)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._root != _NOTHING:
            os.close(self._root)
            self._root = _NOTHING

    def generation(self, group: Group) -> str | None:
        """What no other group has, of whatever name, mount or boot; None if it is gone."""
        try:
            return f"{self.mount}-{os.stat(group.path or '.', dir_fd=self._root).st_ino}"
        except OSError:
            return None

    def below(self, group: Group) -> dict[Group, str]:
        """The MON groups of a CTRL_MON group, each with its generation; empty if it is gone. Raises OSError.

        The kernel lists the inodes that stat() tells (kernfs_fop_readdir(), fs/kernfs/dir.c): no call for each group.
        """
        try:
            with os.scandir(self._resctrl.path(group, "mon_groups")) as entries:
                there = {one.name: one.inode() for one in entries if one.is_dir(follow_symlinks=False)}
        except OSError as exc:
            if exc.errno not in GONE_ERRORS:
                raise
            there = {}
        return {Group(group.ctrl, name): f"{self.mount}-{inode}" for name, inode in there.items()}

    def generations(self) -> dict[Place, str]:
        """Cache or package -> what changes when its counters begin anew, because its CPUs went offline and came back.

        The kernel makes the directories of such a cache, and of such a sub-NUMA node (mon_sub_L3_NN), anew in every
        group: the root's are looked at for all groups. A package may go on from where it was. Nothing here tells, so it
        is treated like a cache.
        """
        return {place: _generation(self._resctrl.path(ROOT, "mon_data", name)) for place, name in self._names.items()}

    def read(self, group: Group) -> dict[Place, Values]:
        """Cache or package -> event -> its value; empty if the group is gone.

        Of a CTRL_MON group that is the sum over the group itself and the MON groups below it which have a counter.
        Raises OSError if the places of a group that is there cannot be listed.
        """
        values = self._read(group, self._files)
        if not values or any(_IS_GONE in found.values() for found in values.values()):
            values = self._read_what_is_there(group, values)
        return values

    def _read_what_is_there(self, group: Group, values: t.Mapping[Place, Values]) -> dict[Place, Values]:
        """What a group shows of which something was missing: without the places that it does not have at all.

        What was read before it went away is kept. Raises OSError.
        """
        there = _directories(self._resctrl, group)
        known = {
            place: found
            for place, found in values.items()
            if place in there or any(value not in (_IS_GONE, _UNSUPPORTED) for value in found.values())
        }
        others = {place: name for place, name in there.items() if place not in known}
        return dict(sorted({**known, **self._read(group, self._files_of(others))}.items()))

    def _files_of(self, names: t.Mapping[Place, str]) -> _Files:
        places = {place: self._events[place.resource] for place in names}
        return _Files([f"/mon_data/{names[one]}/{event}" for one, events in places.items() for event in events], places)

    def _read(self, group: Group, files: _Files) -> dict[Place, Values]:
        values = iter(self._values(group.path or ".", files.paths))
        found = {}
        for place, events in files.places.items():
            found[place] = dict(self._unsupported[place.resource])
            found[place].update(zip(events, values))
        return found

    def _values(self, directory: str, paths: t.Sequence[str]) -> list[Value]:
        """What each file of a group shows. Never raises."""
        texts, failures = self._texts(directory, paths)
        values = _numbers(texts) or [failures.get(path) or _parse(text) for path, text in zip(paths, texts)]
        if not self._settles:
            return values
        return [self._settled(directory, path) if one.number == 0 else one for path, one in zip(paths, values)]

    def _texts(self, directory: str, paths: t.Sequence[str]) -> tuple[list[bytes], dict[str, Value]]:
        """The text of each file of a group, and path -> why there is none: the text is then empty. Never raises.

        Only GONE_ERRORS say that a counter went away. Any other errno is an error of the counter.
        """
        texts, failures, root = [], {}, self._root
        for path in paths:
            try:
                descriptor = os.open(directory + path, os.O_RDONLY, dir_fd=root)
                try:
                    texts.append(os.read(descriptor, _LONGEST))
                finally:
                    os.close(descriptor)
            except OSError as exc:
                texts.append(b"")
                failures[path] = _IS_GONE if exc.errno in GONE_ERRORS else Value(None, ERROR)
        return texts, failures

    def _settled(self, directory: str, path: str) -> Value:
        """A 0 on Arm, read again once.

        There a file also reads 0 if the hardware was not ready: the driver waits for as long as the firmware says,
        tries again, and gives up with EBUSY, for which there is no word (mpam_msmon_read(), rdtgroup_mondata_show();
        Linux 7.3). The monitor stays as it was set up, so that a second read mostly finds it ready. A 0 that is read
        twice is believed: that the kernel could tell it from a true one is nowhere to be seen.
        """
        texts, failures = self._texts(directory, [path])
        return failures.get(path) or _parse(texts[0])


# A named tuple's own constructor is a function in Python, which takes as long as a system call
_number = t.cast("t.Callable[[tuple[int, None]], Value]", functools.partial(tuple.__new__, Value))


def _numbers(texts: t.Sequence[bytes]) -> list[Value]:
    """Their values, in no time, if each is an integer and ends with a line; none otherwise."""
    together = b"".join(texts)
    if together.count(b"\n") != len(texts) or not together.replace(b"\n", b"").isdigit():
        return []
    try:
        return [*map(_number, zip(map(int, texts), itertools.repeat(None)))]
    except ValueError:
        return []


def _parse(text: bytes) -> Value:
    """What a file showed; one that did not end is no number."""
    return Value(None, ERROR) if len(text) == _LONGEST else parse_value(text.decode("utf-8", "surrogateescape"))


def read_group(resctrl: Resctrl, group: Group, events: t.Sequence[Event]) -> dict[Place, Values]:
    """What one group shows, see Reader.read(). Raises OSError."""
    with Reader(resctrl, events) as reader:
        return reader.read(group)
