# SPDX-License-Identifier: GPL-3.0-or-later
"""More domains than RMIDs: who is counted, and who goes without. Pure, like the plan that it is made for."""

from __future__ import annotations

import typing as t

from . import errors
from .planning import Plan, Wish, plan, wanted_groups

if t.TYPE_CHECKING:
    from .snapshot import Running, Snapshot


def plan_by_priority(
    snapshot: Snapshot, wishes: t.Mapping[str, Wish], priorities: t.Mapping[str, int], reserve: int = 0
) -> Plan:
    """A plan for those whom the RMIDs suffice for; the failures name who goes without. See ration and planning.plan."""
    granted, denied = ration(snapshot, wishes, priorities, reserve)
    planned = plan(snapshot, granted, reserve=reserve)
    return Plan(planned.operations, {**denied, **planned.failures})


def ration(
    snapshot: Snapshot, wishes: t.Mapping[str, Wish], priorities: t.Mapping[str, int], reserve: int = 0
) -> tuple[dict[str, Wish], dict[str, errors.ResctrlError]]:
    """The wishes that the RMIDs suffice for, and for each domain that has to go without the error that says so.

    The highest priority first (0 where none is given); among equals those that are monitored already, then by name.
    Who goes without is wished disabled, so that its RMID goes to who comes before it.
    """
    granted = dict(wishes)
    denied: dict[str, errors.ResctrlError] = {}
    needs: list[tuple[Running, int]] = []
    others = [group for group in snapshot.groups - snapshot.stale if group.uuid not in wishes]
    budget = snapshot.num_rmids - 1 - len(others) - reserve
    for running in snapshot.running:
        uuid = running.domain.uuid
        if uuid in wishes and wishes[uuid].enabled:
            try:
                needs.append((running, len(wanted_groups(running, snapshot, wishes[uuid]))))
            except errors.ResctrlError:
                # It will fail by itself, and keep what it has
                budget -= len(snapshot.ours(uuid) - snapshot.stale)

    def turn(need: tuple[Running, int]) -> tuple[int, bool, str]:
        domain = need[0].domain
        return (-priorities.get(domain.uuid, 0), not snapshot.ours(domain.uuid), domain.name)

    for running, needed in sorted(needs, key=turn):
        uuid = running.domain.uuid
        if needed <= budget:
            budget -= needed
            continue
        granted[uuid] = wishes[uuid]._replace(enabled=False)
        denied[uuid] = errors.RmidsExhausted(
            f"Out of RMIDs: of {snapshot.num_rmids} none is left for domain '{running.domain.name}'",
            hint="It is next in line when one is freed: give it a higher priority, or disable another",
        )
    return granted, denied
