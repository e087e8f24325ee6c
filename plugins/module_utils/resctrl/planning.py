# SPDX-License-Identifier: GPL-3.0-or-later
"""The heart: from what is and what is wished to the operations between them. Pure: no I/O, no clock."""

from __future__ import annotations

import dataclasses
import typing as t

from . import errors
from .filesystem import OURS, Group, group_for
from .snapshot import Running, Snapshot, libvirts

CREATE = "create"
ASSIGN = "assign"
REMOVE = "remove"


class Wish(t.NamedTuple):
    """What is wished for a domain.

    `enabled`: monitored or not.  `whole_process`: every thread of the process, not the vCPUs' only.  `takeover`: take
    threads out of somebody else's MON groups (never out of libvirt's).
    """

    enabled: bool = True
    whole_process: bool = False
    takeover: bool = False


class Operation(t.NamedTuple):
    """One step: create or remove a group of ours, or assign the thread `tid` of the process `pid` to one."""

    kind: str
    group: Group
    tid: int = 0
    pid: int = 0

    @property
    def uuid(self) -> str:
        """The domain that it is done for."""
        return self.group.uuid


class Plan(t.NamedTuple):
    """The operations, in order, and for each domain (by UUID) that gets none the error that says why."""

    operations: tuple[Operation, ...]
    failures: t.Mapping[str, errors.ResctrlError]


def plan(snapshot: Snapshot, wishes: t.Mapping[str, Wish], *, reserve: int = 0, prune: bool = True) -> Plan:
    """The operations that make the wishes (by UUID) true for the running domains; one without a wish is left alone.

    `reserve`: RMIDs left untouched for others.  `prune`: remove stale groups of ours, of whatever domain.
    Removals come first: they free RMIDs. If these do not suffice for all, nothing is done at all, and each domain for
    which something was to be done fails with RmidsExhausted.
    """
    steps: list[Operation] = []
    failures: dict[str, errors.ResctrlError] = {}
    kept: set[Group] = set()
    for running in snapshot.running:
        wish = wishes.get(running.domain.uuid)
        if wish is None:
            continue
        if not wish.enabled:
            steps += [Operation(REMOVE, group) for group in sorted(snapshot.ours(running.domain.uuid))]
            continue
        try:
            wanted = wanted_groups(running, snapshot, wish)
        except errors.ResctrlError as exc:
            failures[running.domain.uuid] = exc
            continue
        kept.update(wanted)
        steps += _enable(running, wanted, snapshot)
    if prune:
        removed = {step.group for step in steps if step.kind == REMOVE}
        steps += [Operation(REMOVE, group) for group in sorted(snapshot.stale - kept - removed)]
    shortage = _shortage(steps, snapshot, reserve)
    if shortage:
        waiting = {one.domain.uuid for one in snapshot.running} & {step.uuid for step in steps}
        return Plan((), {**failures, **dict.fromkeys(waiting, shortage)})
    order = (REMOVE, CREATE, ASSIGN)
    return Plan(tuple(sorted(steps, key=lambda step: order.index(step.kind))), failures)


def wanted_groups(running: Running, snapshot: Snapshot, wish: Wish) -> dict[Group, list[int]]:
    """Group of ours -> the threads of a domain that belong in it, so that each in scope is counted by us or by libvirt.

    Raises ForeignGroup, NoVcpuThreads.
    """
    process = running.process
    scope = process.threads if wish.whole_process else process.vcpus.values()
    if not scope:
        raise errors.NoVcpuThreads(
            f"Domain '{running.domain.name}' has no threads for its vCPUs",
            hint="It runs them all in one thread: monitor the whole process (scope=domain)",
        )
    wanted: dict[Group, list[int]] = {}
    for tid in sorted(scope):
        group = snapshot.group_of(tid)
        if libvirts(group):
            continue
        if group.mon and group.owner != OURS and not wish.takeover:
            whose = "another program" if group.owner == "other" else group.owner
            raise errors.ForeignGroup(
                f"Thread {tid} of domain '{running.domain.name}' is in the group {group.path} of {whose}",
                hint="Stop that monitoring first, or take its threads over (takeover=true)",
            )
        wanted.setdefault(group_for(running.domain.uuid, group), []).append(tid)
    return wanted


def _enable(running: Running, wanted: t.Mapping[Group, t.Sequence[int]], snapshot: Snapshot) -> list[Operation]:
    ours = snapshot.ours(running.domain.uuid)
    steps = [Operation(REMOVE, group) for group in sorted(ours - set(wanted))]
    for group, tids in wanted.items():
        made_anew = group in ours and _counts_too_much(running, group, tids, snapshot)
        if made_anew:
            steps.append(Operation(REMOVE, group))
        if made_anew or group not in ours:
            steps.append(Operation(CREATE, group))
        inside = frozenset() if made_anew or group not in ours else snapshot.members[group]
        steps += [Operation(ASSIGN, group, tid, running.process.pid) for tid in tids if tid not in inside]
    return steps


def _counts_too_much(running: Running, group: Group, tids: t.Sequence[int], snapshot: Snapshot) -> bool:
    """Whether a group of ours counts threads that it should not, so that it has to be made anew.

    To take a thread out is to write to a CTRL_MON group's tasks, which may change its allocation. Threads that a vCPU's
    thread made inherit its group and may stay, or the group would be made anew again and again. The main thread is
    never such a one: it shows that the whole process was put in.
    """
    extra = snapshot.members[group] - set(tids)
    return running.process.pid in extra or not extra <= running.process.threads


def _shortage(steps: t.Sequence[Operation], snapshot: Snapshot, reserve: int) -> errors.RmidsExhausted | None:
    """RmidsExhausted if the steps leave fewer RMIDs than the reserve, unless they use no more than they free."""
    needed, freed = (sum(step.kind == kind for step in steps) for kind in (CREATE, REMOVE))
    free = snapshot.free_rmids + freed
    if needed <= max(freed, free - reserve):
        return None
    holders = ", ".join(f"{owner} {len(groups)}" for owner, groups in sorted(snapshot.held_by().items()))
    reserved = f", {reserve} of them reserved" if reserve else ""
    return errors.RmidsExhausted(
        f"Out of RMIDs: {needed} needed, {free} free of {snapshot.num_rmids}{reserved} (held by: {holders})",
        hint="Nothing was changed. Disable other domains, remove groups that nobody needs, or name fewer domains",
    )


def simulate(snapshot: Snapshot, operations: t.Iterable[Operation]) -> Snapshot:
    """The snapshot that the operations would lead to, by the kernel's rules: check mode's and diff mode's "after"."""
    groups, members = set(snapshot.groups), dict(snapshot.members)
    location = dict(snapshot.location)
    for step in operations:
        if step.kind == CREATE:
            groups.add(step.group)
            members[step.group] = frozenset()
        elif step.kind == REMOVE:
            groups.discard(step.group)
            for tid in members.pop(step.group, frozenset()):
                location[tid] = step.group.parent
        else:
            previous = location.get(step.tid, step.group.parent)
            if previous in members:
                members[previous] = members[previous] - {step.tid}
            members[step.group] = members[step.group] | {step.tid}
            location[step.tid] = step.group
    return dataclasses.replace(
        snapshot,
        location=location,
        groups=frozenset(groups),
        members=members,
        stale=snapshot.stale & frozenset(members),
    )
