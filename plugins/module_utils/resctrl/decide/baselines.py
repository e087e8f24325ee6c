# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the counters of a domain begin, so that their sum is a counter too: it grows, or begins anew. Pure.

A domain is counted by several groups, and each of them may be made anew. The sum of what they show would then fall, and
a reader such as Prometheus, which takes a lower number for a counter that began at 0, would add all that the other
groups had counted long ago.
"""

from __future__ import annotations

import typing as t
from decimal import Decimal

from ..kernel.events import L3, Place, Value
from .samples import adds_up

if t.TYPE_CHECKING:
    from ..kernel.groups import Group
    from .samples import Sample


class Reading(t.NamedTuple):
    """What one group shows: the value, and what tells this counter from a later one in the same file.

    `summed`: the groups of a CTRL_MON group's sum, see samples.Part.
    """

    value: Decimal
    identity: str
    summed: frozenset[str] = frozenset()


class Baseline(t.NamedTuple):
    """Of one group: the counter that it is of, the value that counts as 0, and the value that was read last.

    `summed`: as of the reading.
    """

    identity: str
    start: Decimal
    last: Decimal
    summed: frozenset[str] = frozenset()


def carry_on(
    before: t.Mapping[str, Baseline], now: t.Mapping[str, Reading], begins_at_zero: bool
) -> dict[str, Baseline]:
    """The baselines of one counter of a domain, by its groups, from those of the last time.

    A counter that is new begins at 0 if the kernel resets it when a group is made (bandwidth); one that shows what the
    former owner of its RMID had (telemetry of packages, fs/resctrl/rdtgroup.c of 7.3) begins at what it shows first.
    Where a group has gone, or its counter began anew, all others begin anew too.
    """
    goes_on = {group for group, one in now.items() if _is_the_same(before.get(group), one, begins_at_zero)}
    lost = bool(before.keys() - goes_on)
    first = {group: _first(before.get(group), one, begins_at_zero) for group, one in now.items()}
    for group in goes_on:
        first[group] = now[group].value if lost else before[group].start
    return {group: Baseline(one.identity, first[group], one.value, one.summed) for group, one in now.items()}


def _is_the_same(before: Baseline | None, reading: Reading, begins_at_zero: bool) -> bool:
    if before is None or before.identity != reading.identity or reading.value < before.last:
        return False
    return adds_up(before.summed, reading.summed, begins_at_zero)


def _first(before: Baseline | None, reading: Reading, begins_at_zero: bool) -> Decimal:
    """What counts as 0 of a counter that does not go on. A sum that lost a group is no counter that began at 0."""
    shrunk = before is not None and before.identity == reading.identity and not before.summed <= reading.summed
    return Decimal(0) if begins_at_zero and not shrunk else reading.value


def total(now: t.Mapping[str, Baseline]) -> Decimal:
    """What the domain has counted since its counter began."""
    return sum((one.last - one.start for one in now.values()), Decimal(0))


def is_worth_keeping(now: t.Mapping[str, Baseline]) -> bool:
    """Whether the next time needs this: the sum of one counter that began at 0 and is no sum itself is that counter."""
    return len(now) > 1 or any(one.start or one.summed for one in now.values())


# A counter of a domain: the event, and where it is counted
Key = t.Tuple[str, Place]
# The counters of a domain -> group -> where it begins
Baselines = t.Dict[Key, t.Dict[str, Baseline]]


def readings(sample: Sample) -> dict[Key, dict[str, Reading]]:
    """What each group of a domain shows for each counter of it. One of which a part is not known is left out."""
    found: dict[Key, dict[str, Reading]] = {}
    places = sorted({place for part in sample.parts.values() for place in part.places})
    for event in sample.counters:
        for place in (one for one in places if one.resource == event.resource):
            of_groups = {group.path: _reading(sample, group, place, event.name) for group in sample.parts}
            known = {path: one for path, one in of_groups.items() if one is not None}
            if len(known) == len(of_groups):
                found[event.name, place] = known
    return found


def _reading(sample: Sample, group: Group, place: Place, event: str) -> Reading | None:
    part = sample.parts[group]
    value = part.places.get(place, {}).get(event, Value())
    identity = sample.counter(group, place, event)
    if value.number is None or identity[0] is None or part.lacks(place, event):
        return None
    return Reading(Decimal(value.number), " ".join(map(str, identity)), frozenset(part.counting(place, event)))


def follow(before: Baselines | None, sample: Sample) -> tuple[dict[Key, Decimal], Baselines]:
    """What a domain's counters have come to, and what the next time needs. A counter that is not known now goes on.

    `before`: what was kept; None where that is lost, so that all counters begin anew.
    """
    known = before or {}
    now = {
        key: carry_on(known.get(key, {}), one, begins_at_zero=before is not None and key[1].resource == L3)
        for key, one in readings(sample).items()
    }
    kept = {key: one for key, one in {**known, **now}.items() if is_worth_keeping(one)}
    return {key: total(one) for key, one in now.items()}, kept
