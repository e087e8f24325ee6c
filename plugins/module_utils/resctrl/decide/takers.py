# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who takes turns, with groups or with bandwidth counters, after a run has done what it could. Pure.

All times are seconds on the monotonic clock.
"""

from __future__ import annotations

import typing as t

from ..errors import RmidsInLimbo, WaitsForTurn
from .turns import Turn
from .windows import Notes

if t.TYPE_CHECKING:
    from ..errors import ResctrlError
    from .snapshot import Snapshot
    from .wish import Wish, Wishes


def settle(
    notes: t.Mapping[str, Notes],
    snapshot: Snapshot,
    wishes: Wishes,
    failures: t.Mapping[str, ResctrlError],
    now: float,
) -> dict[str, Notes]:
    """Who takes turns from now on, by UUID, and where each stands. Of a domain that does not nothing is noted.

    `snapshot`, `failures`: what a run has left.
    """
    groups = _takers(snapshot, wishes, failures)
    counters = _sharers(snapshot, wishes)
    found = {}
    for uuid in {*groups, *counters}:
        before = notes.get(uuid, Notes())
        group = _stand(before.group, bool(snapshot.ours(uuid)), now) if uuid in groups else None
        turns = {
            cache: _stand(before.counters.get(cache), holds, now) for cache, holds in counters.get(uuid, {}).items()
        }
        if group and group.began is None:
            # Without a group there is nothing to count, but it keeps its place among those that wait for a counter
            turns = {cache: turn._replace(began=None) for cache, turn in before.counters.items()}
        found[uuid] = before._replace(group=group, counters=turns).only_shared()
    return found


def _stand(turn: Turn | None, holds: bool, now: float) -> Turn:
    turn = turn or Turn(None, now)
    return turn._replace(began=(turn.began if turn.began is not None else now) if holds else None)


def _takers(snapshot: Snapshot, wishes: Wishes, failures: t.Mapping[str, ResctrlError]) -> set[str]:
    """Those of a priority of which one waits for its turn, whoever counts them now; not those that need no group."""
    enabled = {uuid: failure for uuid, failure in failures.items() if wishes.enables(uuid)}
    priorities = {wishes.of[uuid].priority for uuid, failure in enabled.items() if isinstance(failure, WaitsForTurn)}
    # One for which the kernel has no RMID yet is counted in turns only where others are
    waiting = {
        uuid
        for uuid, failure in enabled.items()
        if isinstance(failure, (WaitsForTurn, RmidsInLimbo)) and wishes.of[uuid].priority in priorities
    }
    counted = {
        one.domain.uuid
        for one in snapshot.running
        if wishes.enables(one.domain.uuid) and wishes.of[one.domain.uuid].priority in priorities
    }
    return waiting | {uuid for uuid in counted if snapshot.ours(uuid)}


def _sharers(snapshot: Snapshot, wishes: Wishes) -> dict[str, dict[int, bool]]:
    """The same for bandwidth counters: UUID -> L3 cache id -> whether the domain has one there."""
    bandwidth = snapshot.bandwidth
    if bandwidth is None:
        return {}
    asks = {
        one.domain.uuid: [group for group in snapshot.ours(one.domain.uuid) if group in bandwidth.assigned]
        for one in snapshot.running
        if wishes.enables(one.domain.uuid) and wishes.of[one.domain.uuid].bandwidth is not False
    }
    asks = {uuid: groups for uuid, groups in asks.items() if groups}
    lacking = {uuid: bandwidth.lacking(groups) for uuid, groups in asks.items()}
    found: dict[str, dict[int, bool]] = {}
    for cache in bandwidth.free:
        # No turn will come where none of its like has a counter
        holding = {uuid for uuid, groups in asks.items() if any(bandwidth.held(group, cache) for group in groups)}
        classes = {_class(wishes.of[uuid]) for uuid in asks if cache in lacking[uuid]}
        classes &= {_class(wishes.of[uuid]) for uuid in holding}
        for uuid in asks:
            if _class(wishes.of[uuid]) in classes:
                found.setdefault(uuid, {})[cache] = uuid in holding
    return found


def _class(wish: Wish) -> tuple[bool, int]:
    return wish.bandwidth is None, wish.priority
