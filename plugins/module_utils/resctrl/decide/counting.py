# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets the bandwidth counters of a host that has fewer than groups (AMD ABMC, Arm MPAM). Pure.

Each L3 cache has counters of its own, and each of them counts one event of one group. Groups without one are monitored
all the same: only their memory bandwidth is not known.
"""

from __future__ import annotations

import math
import typing as t

from .planning import COUNT, UNCOUNT, Operation

if t.TYPE_CHECKING:
    from ..kernel.groups import Group
    from .snapshot import Snapshot
    from .wish import Wish, Wishes


class Bandwidth(t.NamedTuple):
    """The bandwidth counters of a host.

    `free`: L3 cache id -> counters that nobody has.  `events`: those that are counted so, in the kernel's order.
    `assigned`: group -> (event, cache) that it has a counter for, of those groups that were looked at.
    `on_mkdir`: a new group gets what is left.
    """

    free: t.Mapping[int, int]
    events: tuple[str, ...]
    assigned: t.Mapping[Group, frozenset[tuple[str, int]]]
    on_mkdir: bool = True

    def lacking(self, groups: t.Iterable[Group]) -> tuple[int, ...]:
        """The caches on which one of the groups lacks a counter."""
        held = [self.assigned[group] for group in groups if group in self.assigned]
        return tuple(
            cache
            for cache in sorted(self.free)
            if any((event, cache) not in one for one in held for event in self.events)
        )

    def held(self, group: Group, cache: int) -> list[int]:
        """The numbers of the events for which a group has a counter on a cache."""
        return [number for number, event in enumerate(self.events) if (event, cache) in self.assigned[group]]

    def give(self, group: Group, event: str, cache: int) -> Bandwidth:
        """With one counter more for a group, whose it is from now on."""
        return self._with(group, self.assigned[group] | {(event, cache)})

    def take(self, group: Group, event: str, cache: int) -> Bandwidth:
        """With one counter less for a group."""
        return self._with(group, self.assigned[group] - {(event, cache)})

    def with_group(self, group: Group) -> Bandwidth:
        """With a group that has no counter yet."""
        return self._replace(assigned={group: frozenset(), **self.assigned})

    def without(self, group: Group) -> Bandwidth:
        """Without a group: its counters are free again."""
        less = self._with(group, frozenset())
        return less._replace(assigned={one: held for one, held in less.assigned.items() if one != group})

    def _with(self, group: Group, held: frozenset[tuple[str, int]]) -> Bandwidth:
        before = self.assigned.get(group, frozenset())
        free = dict(self.free)
        for _event, cache in before - held:
            free[cache] = free.get(cache, 0) + 1
        for _event, cache in held - before:
            free[cache] = free.get(cache, 0) - 1
        return self._replace(free=free, assigned={**self.assigned, group: held})


class _Slot(t.NamedTuple):
    """A counter that a group could have. Slots are sorted: who comes first gets it."""

    unasked: bool
    priority: int
    place: tuple[float, ...]
    name: str
    group: Group
    event: int


def counter_steps(snapshot: Snapshot, wishes: Wishes) -> list[Operation]:
    """Which counters groups of ours give back, and which they get then.

    On each cache those come first for which bandwidth is wished, then those of higher priority, then those that have
    it already, or whose turn it is. What groups of others have is theirs. One of which it is wished not to have any
    gives them back.
    """
    if snapshot.bandwidth is None:
        return []
    steps: list[Operation] = []
    for cache in sorted(snapshot.bandwidth.free):
        steps += _on_cache(snapshot, wishes, snapshot.bandwidth, cache)
    return sorted(steps, key=lambda step: step.kind != UNCOUNT)


def _on_cache(snapshot: Snapshot, wishes: Wishes, bandwidth: Bandwidth, cache: int) -> list[Operation]:
    slots: list[_Slot] = []
    held: set[tuple[Group, int]] = set()
    groups = {
        one.domain: [group for group in sorted(snapshot.ours(one.domain.uuid)) if group in bandwidth.assigned]
        for one in snapshot.running
        if wishes.enables(one.domain.uuid)
    }
    mine = {
        domain: {(group, number) for group in its for number in bandwidth.held(group, cache)}
        for domain, its in groups.items()
    }
    places = _places({domain.uuid: bool(its) for domain, its in mine.items()}, wishes, cache)
    for domain, its in groups.items():
        held |= mine[domain]
        every = [(group, number) for group in its for number in range(len(bandwidth.events))]
        slots += _slots(every, mine[domain], wishes.of[domain.uuid], places[domain.uuid], domain.name)
    granted = {(slot.group, slot.event) for slot in sorted(slots)[: max(0, bandwidth.free[cache]) + len(held)]}
    taken = [
        Operation(UNCOUNT, group, event=bandwidth.events[one], cache=cache) for group, one in sorted(held - granted)
    ]
    given = [Operation(COUNT, group, event=bandwidth.events[one], cache=cache) for group, one in sorted(granted - held)]
    return [*taken, *given]


def _places(holders: t.Mapping[str, bool], wishes: Wishes, cache: int) -> dict[str, tuple[float, ...]]:
    """By UUID, the place among equals on a cache: of who has a counter there, and of who waits for one."""
    if wishes.turns is None:
        return {uuid: (int(not holds), 0.0) for uuid, holds in holders.items()}
    from .turns import ranks

    turns = {uuid: turn for (uuid, where), turn in wishes.turns.counters.items() if where == cache}
    # A new group may have got one before it was its turn
    holders = {uuid: holds and not (uuid in turns and turns[uuid].began is None) for uuid, holds in holders.items()}
    return ranks(holders, turns, wishes.turns)


def _slots(
    every: t.Iterable[tuple[Group, int]],
    held: t.AbstractSet[tuple[Group, int]],
    wish: Wish,
    place: tuple[float, ...],
    name: str,
) -> list[_Slot]:
    """What a domain's groups could have, by what they have."""
    if wish.bandwidth is False:
        return []
    # One more for a domain that has some comes after those that have none
    more = place if not held else (1, math.inf)
    return [_Slot(wish.bandwidth is None, -wish.priority, place if one in held else more, name, *one) for one in every]
