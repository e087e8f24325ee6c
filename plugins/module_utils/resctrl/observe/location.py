# SPDX-License-Identifier: GPL-3.0-or-later
"""Which threads are in which groups, found out with as little work as possible.

To list the `tasks` of one group the kernel walks all threads of the system under a global lock; to tell the group of
one thread (cpu_resctrl_groups, since 5.6) it walks the groups only. So where the kernel tells, the threads in question
are asked for, and `tasks` is read only of groups of ours that may be removed, and of one more at each look, in turn.
Where so few threads run that to list those of every group is cheaper, that is done.
"""

from __future__ import annotations

import typing as t

from ..errors import Unreadable
from ..kernel.groups import ROOT, Group

if t.TYPE_CHECKING:
    from ..decide.snapshot import Running
    from ..kernel.filesystem import Resctrl

# What it takes to read one file, as so many threads which the kernel visits (docs/performance.md)
_VISITS_OF_A_FILE = 200


class Location:
    """What was found out.

    `groups`: every group but the root.  `of`: thread -> group; a thread that is not in it is in the root.
    `members`: group of ours -> its threads, as far as known.
    `listed`: group -> how many threads it has, where these were listed.
    `unread`: domains (by UUID) that have a group of ours into which nobody looked.
    `unreadable`: groups of ours into which nobody can look.
    `looked_into`: the group of ours whose turn it was, or None.  `warnings`: sentences.
    """

    def __init__(self, groups: list[Group]) -> None:
        self.groups = groups
        self.of: dict[int, Group] = {}
        self.members: dict[Group, frozenset[int]] = {}
        self.listed: dict[Group, int] = {}
        self.unread: set[str] = set()
        self.unreadable: set[Group] = set()
        self.looked_into: Group | None = None
        self.warnings: list[str] = []


def locate(
    resctrl: Resctrl, running: t.Sequence[Running], active: t.Container[str], whole: t.Container[str], turn: int
) -> Location:
    """Where the threads of `running` are. `active`: UUIDs of all running domains; `whole`: of those with all threads.

    `turn` chooses the group of ours that is looked into though nothing points to it.
    Raises Unreadable if the groups cannot be listed.
    """
    found = Location(resctrl.groups())
    found.members = {group: frozenset() for group in found.groups if group.uuid}
    ours = sorted(found.members)
    found.looked_into = ours[turn % len(ours)] if ours else None
    scope = {tid: one.process.pid for one in running for tid in _in_question(one, one.domain.uuid in whole)}
    if not found.groups:
        return found
    if resctrl.tells_groups and _asking_is_cheaper(resctrl, len(found.groups), len(scope)):
        _ask_threads(resctrl, found, scope)
        _read_candidates(resctrl, found, _candidates(found, running, active, whole))
    else:
        _read_all(resctrl, found, scope)
    return found


def _in_question(one: Running, whole: bool) -> t.Iterable[int]:
    """The threads to be found. The main thread shows whether the whole process was put into a group."""
    return one.process.threads if whole else {*one.process.vcpus.values(), one.process.pid}


def _asking_is_cheaper(resctrl: Resctrl, groups: int, threads: int) -> bool:
    """Whether to ask for so many threads is less work than to list those of every group; or nothing else tells all."""
    visits = groups * (_VISITS_OF_A_FILE + resctrl.threads_of_the_machine())
    return threads * _VISITS_OF_A_FILE <= visits or not resctrl.sees_every_thread


def _ask_threads(resctrl: Resctrl, found: Location, scope: t.Mapping[int, int]) -> None:
    for tid, pid in scope.items():
        group = resctrl.group_of(pid, tid)
        if group and group != ROOT:
            found.of[tid] = group
    for tid, group in found.of.items():
        if group in found.members:
            found.members[group] |= {tid}


def _candidates(
    found: Location, running: t.Sequence[Running], active: t.Container[str], whole: t.Container[str]
) -> set[Group]:
    """Groups of ours that may have to go or to be changed: nothing of their domain was found in them, or too much."""
    seen = {one.domain.uuid: one.process for one in running}
    candidates = set()
    for group, tids in found.members.items():
        process = seen.get(group.uuid)
        if process is None:
            needed = group.uuid not in active
        else:
            needed = not tids or (process.pid in tids and group.uuid not in whole)
        if needed:
            candidates.add(group)
    return candidates


def _read_candidates(resctrl: Resctrl, found: Location, candidates: set[Group]) -> None:
    """Read the tasks of these groups, and of the one whose turn it is."""
    for group in sorted(found.members):
        if group in candidates or group == found.looked_into:
            _look_into(resctrl, found, group)
        elif not found.members[group]:
            found.unread.add(group.uuid)


def _look_into(resctrl: Resctrl, found: Location, group: Group) -> None:
    """Read the tasks of a group of ours."""
    try:
        tids = resctrl.tasks(group)
    except Unreadable as exc:
        found.unreadable.add(group)
        found.warnings.append(f"A group was left as it is: {exc}")
    else:
        found.listed[group] = len(tids)
        found.members[group] |= tids
        found.of.update(dict.fromkeys(tids, group))


def _read_all(resctrl: Resctrl, found: Location, scope: t.Mapping[int, int]) -> None:
    """Where no thread is asked for: read the tasks of each group of ours, of others at need."""
    for group in found.members:
        _look_into(resctrl, found, group)
    missing = scope.keys() - found.of.keys()
    if not missing:
        return
    # A CTRL_MON group's tasks lists those of its MON groups too: MON groups last
    for group in sorted(set(found.groups) - found.members.keys(), key=lambda group: bool(group.mon)):
        try:
            tids = resctrl.tasks(group)
        except Unreadable as exc:
            found.warnings.append(f"A group of another program was skipped: {exc}")
            continue
        found.listed[group] = len(tids)
        found.of.update(dict.fromkeys(tids & missing, group))
