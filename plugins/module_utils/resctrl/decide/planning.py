# SPDX-License-Identifier: GPL-3.0-or-later
"""The heart: from what is and what is wished to the operations between them. Pure: no I/O, no clock."""

from __future__ import annotations

import typing as t

from .. import errors
from ..kernel.groups import Group, leaving_group
from .wanted import wanted_groups

if t.TYPE_CHECKING:
    from .snapshot import Running, Snapshot
    from .wish import Wishes

CREATE = "create"
ASSIGN = "assign"
REMOVE = "remove"
COUNT = "count"
UNCOUNT = "uncount"


class Operation(t.NamedTuple):
    """One step: create or remove a group of ours, assign the thread `tid` of the process `pid` to one, or give it a
    bandwidth counter for an event on an L3 cache (COUNT), or take it back.
    """

    kind: str
    group: Group
    tid: int = 0
    pid: int = 0
    event: str = ""
    cache: int = 0

    @property
    def uuid(self) -> str:
        """The domain that it is done for."""
        return self.group.uuid


class Plan(t.NamedTuple):
    """The operations, in order, and why a domain (by UUID) is not as wished afterwards."""

    operations: tuple[Operation, ...]
    failures: t.Mapping[str, errors.ResctrlError]


def plan(snapshot: Snapshot, wishes: Wishes) -> Plan:
    """The operations that make the wishes true for the running domains.

    Removals come first: they free RMIDs. If these do not suffice for all and are not to be rationed, nothing is done at
    all, and each domain for which something was to be done fails with RmidsExhausted.
    """
    denied: t.Mapping[str, errors.ResctrlError] = {}
    order: t.Mapping[str, tuple[t.Any, ...]] = {}
    if wishes.ration:
        # Not above: no module rations, and what is imported is compiled on every run
        from .rationing import ration

        wishes, denied, order = ration(snapshot, wishes)
    wanted, failures = _wanted(snapshot, wishes)
    removals = _removals(snapshot, wishes, wanted)
    moves = [step for one in snapshot.running for step in _moves(one, wanted.get(one.domain.uuid, {}), snapshot)]
    # All groups are made before the first thread is moved: the kernel may refuse one. As long as RMIDs are in limbo it
    # refuses the later ones, so who comes first must be the first to ask
    moves.sort(key=lambda step: (step.kind != CREATE, order.get(step.uuid, ())))
    shortage = _shortage(removals, moves, snapshot, wishes.reserve)
    there = snapshot.groups
    if not shortage and snapshot.is_arm:
        from .places import shortage_in_a_group

        created, removed = _groups(CREATE, moves), _groups(REMOVE, removals)
        shortage = shortage_in_a_group(created, removed, snapshot)
        there = there.difference(removed).union(created)
    if shortage:
        needy = {one.domain.uuid for one in snapshot.running} & {step.uuid for step in [*removals, *moves]}
        needy |= _counted_too_much(snapshot, wanted)
        return Plan((), {**denied, **failures, **dict.fromkeys(needy, shortage)})
    steps = [*removals, *moves]
    room = snapshot.free_rmids - wishes.reserve + sum((step.kind == REMOVE) - (step.kind == CREATE) for step in steps)
    departures, kept_too_much = _departures(
        snapshot, wanted, {step.tid for step in moves}, room, there, reserve=wishes.reserve
    )
    steps += [*departures, *_counters(snapshot, steps, wishes)]
    return Plan(tuple(steps), {**denied, **failures, **kept_too_much})


def _groups(kind: str, steps: t.Iterable[Operation]) -> list[Group]:
    return [step.group for step in steps if step.kind == kind]


def _counters(snapshot: Snapshot, steps: t.Iterable[Operation], wishes: Wishes) -> list[Operation]:
    """Who gets a bandwidth counter when the groups are there."""
    if snapshot.bandwidth is None:
        return []
    # Not above: few hosts have such counters, and what is imported is compiled on every run
    from .counting import counter_steps
    from .simulation import simulate

    return counter_steps(simulate(snapshot, steps), wishes)


_Wanted = t.Dict[str, t.Dict[Group, t.List[int]]]


def _wanted(snapshot: Snapshot, wishes: Wishes) -> tuple[_Wanted, dict[str, errors.ResctrlError]]:
    """UUID -> group of ours -> threads, for those to be enabled; and why one cannot be."""
    wanted: _Wanted = {}
    failures: dict[str, errors.ResctrlError] = {}
    for running in snapshot.running:
        uuid = running.domain.uuid
        if wishes.enables(uuid):
            try:
                wanted[uuid] = wanted_groups(running, snapshot, wishes.of[uuid])
            except errors.ResctrlError as exc:
                failures[uuid] = exc
    return wanted, failures


def _removals(snapshot: Snapshot, wishes: Wishes, wanted: _Wanted) -> list[Operation]:
    """Groups of ours that no wish needs: of disabled domains, below a CTRL_MON group left behind, and stale ones."""
    removed: list[Group] = []
    for running in snapshot.running:
        uuid = running.domain.uuid
        if uuid in wanted or (uuid in wishes.of and not wishes.enables(uuid)):
            removed += sorted(snapshot.ours(uuid) - set(wanted.get(uuid, ())))
    if wishes.prune:
        kept = {group for groups in wanted.values() for group in groups}
        removed += sorted(snapshot.stale - kept - set(removed))
    return [Operation(REMOVE, group) for group in removed]


def _moves(running: Running, wanted: t.Mapping[Group, t.Sequence[int]], snapshot: Snapshot) -> list[Operation]:
    """Make the groups that are missing, and move the threads into them that are not there."""
    ours = snapshot.ours(running.domain.uuid)
    steps = [Operation(CREATE, group) for group in wanted if group not in ours]
    for group, tids in wanted.items():
        inside = snapshot.members.get(group, frozenset())
        steps += [Operation(ASSIGN, group, tid, running.process.pid) for tid in tids if tid not in inside]
    return steps


def _departures(
    snapshot: Snapshot, wanted: _Wanted, moved: t.Container[int], room: int, there: t.Collection[Group], *, reserve: int
) -> tuple[list[Operation], dict[str, errors.ResctrlError]]:
    """Take threads out that a group of ours should not count; and for whom there is no RMID for it.

    To take a thread out is to write to a CTRL_MON group's tasks, which may change its allocation. So they move into
    another group of ours which is then removed. Until there is an RMID for that the group stays as it is: to remove it
    first would mean to lose it, as long as the lines of its RMID are in the cache. `moved` threads go elsewhere anyway.
    `room` is how many RMIDs are left beside the `reserve`, `there` are the groups that there are by then.
    """
    steps: list[Operation] = []
    failures: dict[str, errors.ResctrlError] = {}
    for running in snapshot.running:
        for group, tids in wanted.get(running.domain.uuid, {}).items():
            extra = [tid for tid in sorted(_extra(running, group, tids, snapshot)) if tid not in moved]
            here = snapshot.room(group.ctrl, there)
            if extra and room < 1:
                failures[running.domain.uuid] = _kept_too_much(running, snapshot, reserve)
            elif extra and here is not None and here < 1:
                from .places import kept_too_much

                failures[running.domain.uuid] = kept_too_much(running, group.ctrl, snapshot)
            elif extra:
                door = leaving_group(group)
                steps.append(Operation(CREATE, door))
                steps += [Operation(ASSIGN, door, tid, _process(running, tid)) for tid in extra]
                steps.append(Operation(REMOVE, door))
    return steps, failures


def _counted_too_much(snapshot: Snapshot, wanted: _Wanted) -> set[str]:
    """The domains of which a group counts threads that it should not."""
    return {
        running.domain.uuid
        for running in snapshot.running
        for group, tids in wanted.get(running.domain.uuid, {}).items()
        if _extra(running, group, tids, snapshot)
    }


def _process(running: Running, tid: int) -> int:
    """The process to check a thread against before it is moved; 0 for a stranger's."""
    return running.process.pid if tid in running.process.threads else 0


def _extra(running: Running, group: Group, tids: t.Sequence[int], snapshot: Snapshot) -> frozenset[int]:
    """The threads that a group of ours counts and should not.

    Threads that a vCPU's thread made inherit its group and may stay, or they would have to leave again and again. The
    main thread is never such a one: it shows that the whole process was put in.
    """
    extra = snapshot.members.get(group, frozenset()) - set(tids)
    return extra if running.process.pid in extra or not extra <= running.process.threads else frozenset()


def _kept_too_much(running: Running, snapshot: Snapshot, reserve: int) -> errors.RmidsExhausted:
    reserved = f"; {reserve} reserved" if reserve else ""
    return errors.RmidsExhausted(
        f"Domain '{running.domain.name}' stays monitored with more threads than wished: to take some out needs one "
        f"free RMID for a moment, and none of {snapshot.rmids_in_words} is free (held by: {snapshot.holders()}"
        f"{reserved})",
        hint="Disable another domain, or lower the reserve, and run again",
    )


def _shortage(
    removals: t.Sequence[Operation], moves: t.Sequence[Operation], snapshot: Snapshot, reserve: int
) -> errors.RmidsExhausted | None:
    """RmidsExhausted if the steps leave fewer RMIDs than the reserve, unless they use no more than they free."""
    needed, freed = sum(step.kind == CREATE for step in moves), len(removals)
    free = snapshot.free_rmids + freed
    if needed <= max(freed, free - reserve):
        return None
    reserved = f", {reserve} of them reserved" if reserve else ""
    total = f"{snapshot.rmids_in_words}{reserved}"
    return errors.RmidsExhausted(
        f"Out of RMIDs: {needed} needed, {free} free of {total} (held by: {snapshot.holders()})",
        hint="Nothing was changed. Disable other domains, remove groups that nobody needs, or name fewer domains",
    )
