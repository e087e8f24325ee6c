# SPDX-License-Identifier: GPL-3.0-or-later
"""More domains than RMIDs: who is monitored, and who has to wait. Pure, like the plan that it is made for."""

from __future__ import annotations

import typing as t

from .. import errors
from .places import full, waits
from .wanted import wanted_groups

if t.TYPE_CHECKING:
    from ..kernel.groups import Group
    from .snapshot import Running, Snapshot
    from .wish import Wishes


def ration(snapshot: Snapshot, wishes: Wishes) -> tuple[Wishes, dict[str, errors.ResctrlError]]:
    """The wishes that the RMIDs suffice for, and for each domain that has to wait the error that says so.

    The highest priority first; among equals those that are monitored already, then by name. A domain that has to wait
    is treated as one to be disabled, so that its RMID goes to one that comes before it.
    """
    granted = dict(wishes.of)
    denied: dict[str, errors.ResctrlError] = {}
    # Where a domain waits: in a CTRL_MON group that is full, or because there are no RMIDs at all (None)
    queues: set[str | None] = set()
    needs: list[tuple[Running, t.Collection[Group]]] = []
    # Of a domain that is wished for, but not seen, the group stays as it is
    planned = {one.domain.uuid for one in snapshot.running if one.domain.uuid in wishes.of}
    others = [group for group in snapshot.groups - snapshot.stale if group.uuid not in planned]
    budget = snapshot.num_rmids - 1 - len(others) - wishes.reserve
    for running in snapshot.running:
        uuid = running.domain.uuid
        if wishes.enables(uuid):
            try:
                needs.append((running, wanted_groups(running, snapshot, wishes.of[uuid])))
            except errors.ResctrlError:
                # It will fail by itself, and keep what it has
                others += snapshot.ours(uuid) - snapshot.stale
                budget -= len(snapshot.ours(uuid) - snapshot.stale)

    def turn(need: tuple[Running, t.Collection[Group]]) -> tuple[int, bool, str]:
        domain = need[0].domain
        return (-wishes.of[domain.uuid].priority, not snapshot.ours(domain.uuid), domain.name)

    for running, wanted in sorted(needs, key=turn):
        uuid = running.domain.uuid
        ctrl = full(wanted, others, snapshot)
        # One that libvirt counts wholly needs none, even where the reserve is not there
        if len(wanted) <= max(budget, 0) and ctrl is None:
            budget -= len(wanted)
            others += wanted
            continue
        granted[uuid] = wishes.of[uuid]._replace(enabled=False)
        denied[uuid] = _waits(running, snapshot, ctrl, first=ctrl not in queues)
        queues.add(ctrl)
    return wishes._replace(of=granted), denied


def _waits(running: Running, snapshot: Snapshot, ctrl: str | None, first: bool) -> errors.RmidsExhausted:
    turn = "It is the next to be monitored when one is free" if first else "It is monitored when one is free for it"
    if ctrl is not None:
        return waits(running, ctrl, snapshot, turn)
    return errors.RmidsExhausted(
        f"Out of RMIDs: of {snapshot.rmids_in_words} none is left for domain '{running.domain.name}'",
        hint=f"{turn}: give it a higher priority, disable another, or remove groups that nobody needs",
    )
