# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan would lead to, by the kernel's rules. Pure."""

from __future__ import annotations

import typing as t

from .planning import ASSIGN, COUNT, CREATE, REMOVE, UNCOUNT, Operation

if t.TYPE_CHECKING:
    from .counting import Bandwidth
    from .snapshot import Snapshot


def simulate(snapshot: Snapshot, operations: t.Iterable[Operation]) -> Snapshot:
    """The snapshot that the operations would lead to, by the kernel's rules: check mode's and diff mode's "after"."""
    groups, members = set(snapshot.groups), dict(snapshot.members)
    location = dict(snapshot.location)
    bandwidth = snapshot.bandwidth
    for step in operations:
        bandwidth = bandwidth and _counted(bandwidth, step)
        if step.kind == CREATE:
            groups.add(step.group)
            members[step.group] = frozenset()
        elif step.kind == REMOVE:
            groups.discard(step.group)
            for tid in members.pop(step.group, frozenset()):
                location[tid] = step.group.parent
        elif step.kind == ASSIGN:
            previous = location.get(step.tid, step.group.parent)
            if previous in members:
                members[previous] = members[previous] - {step.tid}
            members[step.group] = members[step.group] | {step.tid}
            location[step.tid] = step.group
    return snapshot._replace(
        location=location,
        groups=frozenset(groups),
        members=members,
        stale=snapshot.stale & frozenset(members),
        unjudged=snapshot.unjudged & frozenset(members),
        bandwidth=bandwidth,
    )


def _counted(bandwidth: Bandwidth, step: Operation) -> Bandwidth:
    """Who has which bandwidth counters after a step. A new group gets those that are left (mbm_assign_on_mkdir)."""
    if step.kind == COUNT:
        return bandwidth.give(step.group, step.event, step.cache)
    if step.kind == UNCOUNT:
        return bandwidth.take(step.group, step.event, step.cache)
    if step.kind == REMOVE:
        return bandwidth.without(step.group)
    if step.kind == CREATE:
        bandwidth = bandwidth.with_group(step.group)
        for cache in bandwidth.free if bandwidth.on_mkdir else ():
            for event in bandwidth.events:
                if bandwidth.free[cache] > 0:
                    bandwidth = bandwidth.give(step.group, event, cache)
    return bandwidth
